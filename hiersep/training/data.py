"""Loaders over `HierarchicalMixtureDataset` that draw other clips every epoch, in living workers too."""

from __future__ import annotations

import math
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from hiersep.data.dataset import HierarchicalMixtureDataset
from hiersep.training.processes import ALONE, Share
from hiersep.typed import expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hiersep.config import ExperimentConfig


class EpochSampler(Sampler[int]):
    """Yield the items in order, and tell the data set the epoch: its items are drawn anew, so none need shuffling."""

    def __init__(self, dataset: HierarchicalMixtureDataset, share: Share = ALONE):
        self._dataset, self._share = dataset, share
        self.start = 0  # where the next iteration begins

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before every epoch."""
        self._dataset.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        return iter(self._share.of(range(len(self._dataset)))[self.start :])

    def __len__(self) -> int:
        return len(self._share.of(range(len(self._dataset))))


class EpochLoader(DataLoader[dict[str, Any]]):
    """A loader whose workers start with its first batch.

    Lightning asks for the iterator *before* it announces the epoch; a plain DataLoader's workers would by then have
    fetched clips of the epoch before.

    Its state says how many batches of an epoch were taken, so that a resumed epoch begins with the next one; Lightning
    saves and restores it.
    """

    sampler: EpochSampler
    _taken = 0
    _skipped = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        self._taken, self._skipped = self._skipped, 0
        self.sampler.start = self._taken * (self.batch_size or 1)
        for batch in super().__iter__():
            self._taken += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Batches of this epoch that were taken, for the training state."""
        return {"taken": self._taken}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Begin the next iteration after the batches that an earlier run took."""
        self._skipped = state_dict["taken"]


def make_dataset(config: ExperimentConfig, split: str, num_mixtures: int) -> HierarchicalMixtureDataset:
    """Open one split of an experiment's data."""
    options = config.data.to_dict()
    for name in ("num_train", "num_validation"):
        del options[name]
    return HierarchicalMixtureDataset(
        options.pop("folder"),
        options.pop("hierarchy"),
        split=split,
        num_mixtures=num_mixtures,
        seed=config.training.seed,
        query=config.separator.kind == "query",
        levels=config.separator.levels,
        **options,
    )


def make_loader(
    dataset: HierarchicalMixtureDataset, batch_size: int, num_workers: int, share: Share = ALONE
) -> EpochLoader:
    """Load batches of a data set, in its order.

    Args:
        dataset: For each epoch as many items as all processes can share equally.
        batch_size: Of all processes together; each has its share of every batch.
        num_workers: Processes that make the items of one process that trains; 0 makes them in itself.
        share: Of this process.
    """
    return EpochLoader(
        dataset,
        batch_size=batch_size // share.processes,
        sampler=EpochSampler(dataset, share),
        worker_init_fn=_leave_interrupts,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def _leave_interrupts(worker: int) -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the one that trains: it wants batches until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def make_validation_loader(
    dataset: HierarchicalMixtureDataset, batch_size: int, share: Share = ALONE
) -> DataLoader[dict[str, Any]]:
    """Load each item of a fixed set once, in all processes together.

    The processes wait for each other in every batch, so all have equally many, of nearly equal sizes.

    Args:
        dataset: With an item for each process at least.
        batch_size: Of all processes together; that of one may have an item more.
        share: Of this process.

    Raises:
        ConfigError: If there are fewer items than processes.
    """
    items, of_one = range(len(dataset)), batch_size // share.processes
    expected = f"clips for each of {share.processes} processes"
    expect(len(items) >= share.processes, "data.num_validation", expected, len(items))
    fewest, most = len(items) // share.processes, math.ceil(len(items) / share.processes)  # items of a process
    parts = np.array_split(share.of(items), min(math.ceil(most / of_one), fewest))  # none is empty
    return DataLoader(dataset, batch_sampler=[part.tolist() for part in parts], pin_memory=torch.cuda.is_available())
