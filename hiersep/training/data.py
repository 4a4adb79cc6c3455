"""Loaders over `HierarchicalMixtureDataset` that draw other clips every epoch, in living workers too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader, Sampler

from hiersep.data.dataset import HierarchicalMixtureDataset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hiersep.config import ExperimentConfig


class EpochSampler(Sampler[int]):
    """Yield the items in order, and tell the data set the epoch: its items are drawn anew, so none need shuffling."""

    def __init__(self, dataset: HierarchicalMixtureDataset):
        self._dataset = dataset

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before every epoch."""
        self._dataset.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self._dataset)))

    def __len__(self) -> int:
        return len(self._dataset)


class EpochLoader(DataLoader[dict[str, Any]]):
    """A loader whose workers start with its first batch.

    Lightning asks for the iterator *before* it announces the epoch; a plain DataLoader's workers would by then have
    fetched clips of the epoch before.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        yield from super().__iter__()


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


def make_loader(dataset: HierarchicalMixtureDataset, batch_size: int, num_workers: int) -> EpochLoader:
    """Load batches of a data set, in its order."""
    return EpochLoader(
        dataset,
        batch_size=batch_size,
        sampler=EpochSampler(dataset),
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
    )
