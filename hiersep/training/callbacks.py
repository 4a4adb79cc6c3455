"""What Lightning is asked to do beside the steps: keep the best network, keep the curve, show the time left."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from hiersep.compat import pytorch_lightning as pl
from hiersep.files import atomic_path
from hiersep.models import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class SeedBatches(pl.Callback):
    """Seed dropout by (seed, epoch, batch, process), so that a resumed run draws what the undisturbed one would.

    Args:
        seed: Of the training.
    """

    def __init__(self, seed: int):
        self._seed = seed

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Seed."""
        place = [self._seed, trainer.current_epoch, batch_idx, trainer.global_rank]
        (seed,) = np.random.SeedSequence(place).generate_state(1)
        torch.manual_seed(int(seed))


class KeepBest(pl.Callback):
    """Write the network as a checkpoint file each time its validation loss is the lowest so far.

    Args:
        path: Where to write.
        provenance: What the checkpoint shall say of its making; epoch, steps and loss are added.
        save: Writes the network, in the form of `hiersep.models.checkpoint.save`.
    """

    def __init__(
        self,
        path: Path,
        provenance: dict[str, Any],
        save: Callable[[Any, Path, dict[str, Any]], None] = checkpoint.save,
    ):
        self._path, self._provenance, self._save = path, provenance, save
        self.best: float | None = None

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Compare, and write."""
        if trainer.sanity_checking:
            return
        loss = float(trainer.callback_metrics["val_loss"])
        if math.isfinite(loss) and (self.best is None or loss < self.best):
            self.best = loss
            made = {
                "epoch": trainer.current_epoch,
                "steps": trainer.global_step,
                "validation_loss": loss,
            }
            if trainer.is_global_zero:
                self._save(pl_module.kept, self._path, {**self._provenance, **made})

    def forget(self) -> None:
        """Keep the next network, whatever its loss, where the loss is to mean something else."""
        self.best = None

    def state_dict(self) -> dict[str, Any]:
        """Lowest loss so far, for the training state."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the lowest loss of an earlier run up, if its network still lies there."""
        self.best = state_dict["best"] if self._path.exists() else None


class LowerRate(pl.Callback):
    """Halve the learning rate when the validation loss stops falling.

    Lightning would step the schedule itself, but not in the epoch after a resumed one.

    Args:
        optimizer: Of the training.
        patience: Epochs without a lower loss before the rate is halved.
        best: Checkpoint whose weights to go on from when the rate is halved, with Adam's moments begun anew: they were
            measured elsewhere. None: go on from where the training stands.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, patience: int, best: Path | None = None):
        self._optimizer, self._patience, self._best = optimizer, patience, best
        self._first_rate = optimizer.param_groups[0]["lr"]
        self._schedule = self._begin()

    def _begin(self) -> torch.optim.lr_scheduler.ReduceLROnPlateau:
        # torch's own threshold is a share of the loss: it would take a negative loss that stands still for falling.
        return torch.optim.lr_scheduler.ReduceLROnPlateau(
            self._optimizer, factor=0.5, patience=self._patience, threshold=0.0
        )

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Compare; validation has run by now."""
        before = self._optimizer.param_groups[0]["lr"]
        self._schedule.step(float(trainer.callback_metrics["val_loss"]))
        lowered = self._optimizer.param_groups[0]["lr"] < before
        if lowered and self._best is not None and self._best.exists():
            trainer.strategy.barrier()  # until the first process has written it
            pl_module.go_on_from(self._best)
            self._optimizer.state.clear()

    def forget(self) -> None:
        """Begin again at the first learning rate."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._first_rate
        self._schedule = self._begin()

    def state_dict(self) -> dict[str, Any]:
        """Lowest loss and epochs since, for the training state."""
        return self._schedule.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the count of an earlier run up."""
        self._schedule.load_state_dict(state_dict)


class StopEarly(pl.callbacks.EarlyStopping):
    """Stop when the validation loss has not been lower for some epochs.

    Args:
        epochs: How many.
    """

    def __init__(self, epochs: int):
        # After validation, not at the epoch's end, which Lightning would do after the state is saved.
        super().__init__("val_loss", patience=epochs, check_finite=False, check_on_train_epoch_end=False)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Stop at once where an earlier run had stopped, and was killed before it could say so."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class LearningCurve(pl.Callback):
    """Write the losses of every epoch, all and per node, to a CSV file; a resumed run continues the curve.

    Args:
        path: Where to write.
    """

    def __init__(self, path: Path):
        self._path = path
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Add a line; validation has run by now."""
        losses = {name: float(value) for name, value in trainer.callback_metrics.items()}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.rows.append(
            {"epoch": trainer.current_epoch, "steps": trainer.global_step, "learning_rate": rate, **losses}
        )
        if not trainer.is_global_zero:
            return
        with atomic_path(self._path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)

    def state_dict(self) -> dict[str, Any]:
        """The curve so far, for the training state."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the curve of an earlier run up."""
        self.rows = list(state_dict["rows"])


class ShowProgress(pl.Callback):
    """One bar over all batches of the training, with the time left and the losses.

    Where the minutes are limited the bar ends with them, as far as the pace so far tells.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._batches = 0
        self._timer: pl.callbacks.Timer | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Open the bar, where an earlier run left off."""
        self._batches = trainer.max_epochs * trainer.num_training_batches
        self._timer = next((one for one in trainer.callbacks if isinstance(one, pl.callbacks.Timer)), None)
        done = trainer.fit_loop.total_batch_idx + 1
        hidden = None if trainer.is_global_zero else True  # None: unless this is a terminal
        self._bar = tqdm(total=self._batches, initial=done, desc="Training", unit="batch", disable=hidden)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Advance."""
        self._bar.update()
        left = None if self._timer is None else self._timer.time_remaining()
        if left is not None and not self._bar.disable:
            pace = (self._bar.n - self._bar.initial) / max(self._bar.format_dict["elapsed"], 1e-3)  # batches a second
            self._bar.total = min(self._batches, self._bar.n + round(left * pace))

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Show the validation loss."""
        if self._bar is not None:
            self._bar.set_postfix(epoch=trainer.current_epoch, val_loss=f"{trainer.callback_metrics['val_loss']:.3f}")

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
