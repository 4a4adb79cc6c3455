"""One step of training: asteroid's `System` with losses per node, and a moving average of the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hiersep.compat import asteroid
from hiersep.losses import mean_over_known
from hiersep.metrics import is_silent, score_batch
from hiersep.training.means import NodeMeans

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hiersep.models.separator import MaskingSeparator, Separation


class SeparationSystem(asteroid.engine.System):
    """asteroid's `System` for batches ``{"mix", "sources", "known"}``.

    asteroid unpacks a batch into inputs and targets; ours says besides which references are ground truth. The loss of
    every node is logged by its name, for training and for validation, and for validation the improvement in SI-SDR;
    each is a mean over the epoch's items that count.

    Args:
        *args: asteroid's.
        ema: Decay of a moving average of the weights (and of batch normalisation's statistics), which is what is
            validated and kept; None: no average.
        skip_silent: Leave a node that is silent in an item out of that item's loss.
        **kwargs: asteroid's.

    Attributes:
        average: The averaged network; None without.
    """

    def __init__(self, *args: Any, ema: float | None = None, skip_silent: bool = False, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._skip_silent = skip_silent
        self.average: AveragedModel | None = None
        if ema is not None:
            average = get_ema_multi_avg_fn(ema)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(self.model, multi_avg_fn=average, use_buffers=True)
            self.average.requires_grad_(False)
        names: tuple[str, ...] = self.model.nodes
        self._learned = list(range(len(names)))
        self._means = {name: NodeMeans(len(names)) for name in ("loss", "val_loss", "val_si_sdri")}

    @property
    def kept(self) -> MaskingSeparator:
        """The network that is validated and written: the averaged one, or else the one that learns."""
        network: Any = self.model if self.average is None else self.average.module
        return network  # type: ignore[no-any-return]

    def learn(self, nodes: Sequence[str]) -> None:
        """Let only the losses of these nodes count from now on."""
        self._learned = [self.model.nodes.index(node) for node in nodes]

    def go_on_from(self, path: Path) -> None:
        """Replace the weights, and their average, by those of a checkpoint of this network."""
        from safetensors.torch import load_file

        weights = load_file(path)
        self.model.load_state_dict(weights)
        self.kept.load_state_dict(weights)

    def common_step(self, batch: dict[str, torch.Tensor], batch_nb: int, train: bool = True) -> torch.Tensor:
        """Separate a batch and return the mean loss over the nodes that count."""
        model, known = self.model if train else self.kept, batch["known"]
        separation = model.separate_batch(batch["mix"], model.condition_of(batch))
        # What is not known may be anything; a loss that is not finite has a gradient that is none, left out or not.
        sources = torch.where(known[:, :, None, None], batch["sources"], 0.0)
        counted = known & ~is_silent(sources, batch["mix"]) if self._skip_silent else known
        values = self._losses(separation, sources, counted)  # (batch, node)
        self._means["loss" if train else "val_loss"].add(values, counted)
        if not train:
            scores = score_batch(separation.waveforms(), sources, batch["mix"], known=known)
            self._means["val_si_sdri"].add(scores.si_sdri, scores.scored)
        return mean_over_known(values[:, self._learned], counted[:, self._learned])

    def _losses(self, separation: Separation, sources: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
        """Loss per item and node; where most of a tree is silent, and skipped, of what counts alone."""
        if not self._skip_silent or not counted.any():
            return torch.as_tensor(self.loss_func(separation, sources))
        items, nodes = counted.nonzero(as_tuple=True)
        losses = self.loss_func(separation.of(items, nodes), sources[items, nodes][:, None])
        return torch.zeros_like(counted, dtype=losses.dtype).index_put((items, nodes), losses[:, 0])

    def training_step(self, batch: dict[str, torch.Tensor], batch_nb: int) -> torch.Tensor:
        """Step of training."""
        return self.common_step(batch, batch_nb, train=True)

    def validation_step(self, batch: dict[str, torch.Tensor], batch_nb: int) -> None:
        """Step of validation."""
        self.common_step(batch, batch_nb, train=False)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Move the weights, and their average after them."""
        super().optimizer_step(*args, **kwargs)
        if self.average is not None:
            self.average.update_parameters(self.model)

    def on_train_epoch_start(self) -> None:
        """Begin the epoch's mean."""
        self._means["loss"].reset()

    def on_validation_epoch_start(self) -> None:
        """Begin the validation's means."""
        for name in ("val_loss", "val_si_sdri"):
            self._means[name].reset()

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's means per node, and of the losses the mean of the learned nodes of which any item is known.

        asteroid's own method wants a logger, for a table of hyper-parameters in TensorBoard.
        """
        for name, means in self._means.items():
            per_node, mean = means.means(self._learned)
            if name != "val_si_sdri":
                self.log(name, mean.float(), sync_dist=True)
            for node, value in zip(self.model.nodes, per_node.float(), strict=True):
                self.log(f"{name}/{node}", value, sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the mean of an epoch that is not over."""
        checkpoint["epoch_loss"] = self._means["loss"].state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the mean of an epoch that was not over up."""
        self._means["loss"].load_state_dict(checkpoint["epoch_loss"])
