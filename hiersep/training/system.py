"""One step of training: asteroid's `System` with losses per node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hiersep.compat import asteroid
from hiersep.losses import mean_over_known

if TYPE_CHECKING:
    import torch


class SeparationSystem(asteroid.engine.System):
    """asteroid's `System` for batches ``{"mix", "sources", "known"}``.

    asteroid unpacks a batch into inputs and targets; ours says besides which references are ground truth, and the
    loss of every node is logged by its name.
    """

    def common_step(self, batch: dict[str, torch.Tensor], batch_nb: int, train: bool = True) -> torch.Tensor:
        """Separate a batch and return the mean loss over known nodes."""
        separation = self.model.separate_batch(batch["mix"], self.model.condition_of(batch))
        values = self.loss_func(separation, batch["sources"])  # (batch, node)
        if not train:
            known = batch["known"]
            for position, node in enumerate(self.model.nodes):
                column = slice(position, position + 1)
                node_loss = mean_over_known(values[:, column], known[:, column])
                self.log(f"val_loss/{node}", node_loss, on_epoch=True, batch_size=len(values))
        return mean_over_known(values, batch["known"])

    def training_step(self, batch: dict[str, torch.Tensor], batch_nb: int) -> torch.Tensor:
        """Step of training; the loss is logged per epoch and shown while it runs."""
        loss = self.common_step(batch, batch_nb, train=True)
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(batch["mix"]))
        return loss

    def validation_step(self, batch: dict[str, torch.Tensor], batch_nb: int) -> None:
        """Step of validation."""
        loss = self.common_step(batch, batch_nb, train=False)
        self.log("val_loss", loss, on_epoch=True, batch_size=len(batch["mix"]))

    def on_validation_epoch_end(self) -> None:
        """Log nothing for TensorBoard's table of hyper-parameters, as asteroid does without asking for a logger."""
