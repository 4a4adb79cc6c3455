"""The training state: saved as the training goes, so that after whatever kills it, it goes on as if nothing had been.

The file holds weights, optimizer, schedule, clipping history, averages, the losses of the epoch so far and the place in
the data. What is drawn, mixtures and dropout alike, follows from (seed, epoch, batch), so no generator is in it. It is
read with ``weights_only``: it cannot run code.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from hiersep.compat import pytorch_lightning as pl
from hiersep.errors import CheckpointError
from hiersep.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT = 2
_KEY = "hiersep"


class Interruption:
    """Ctrl-C, remembered until a step is over: in the midst of one there is nothing worth saving.

    Attributes:
        wanted: Whether it was pressed.
    """

    wanted = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Remember the first Ctrl-C within the block; the second one interrupts at once."""
        before = signal.getsignal(signal.SIGINT)

        def remember(number: int, frame: Any) -> None:
            if self.wanted:
                signal.default_int_handler(number, frame)
            self.wanted = True
            message = "Saving the state after this step, or this validation; Ctrl-C again stops at once."
            tqdm.write(message, file=sys.stderr)

        # A job in the background ignores Ctrl-C, and only the main thread may say who hears it.
        if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
            yield
            return
        signal.signal(signal.SIGINT, remember)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


class SaveState(pl.Callback):
    """Save the training state every few steps, at the end of every epoch, and when interrupted; comes last.

    Args:
        path: Where to.
        every: Steps between two states.
        interruption: Asked after every step, and at the end of every epoch.
    """

    def __init__(self, path: Path, every: int, interruption: Interruption):
        self._path, self._every, self._interruption = path, every, interruption

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save, but not with gradients half accumulated, nor after the last batch.

        A state of that moment would resume with the next epoch, and leave the validation out.
        """
        done = batch_idx + 1
        if done % trainer.accumulate_grad_batches or done == trainer.num_training_batches:
            return
        interrupted = self._is_interrupted(trainer)
        if interrupted or trainer.global_step % self._every == 0:
            self._save(trainer)
        if interrupted:
            raise KeyboardInterrupt

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Save; all else of the epoch's end is done by now."""
        self._save(trainer)
        if self._is_interrupted(trainer):
            raise KeyboardInterrupt

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Say in which form the state is."""
        checkpoint[_KEY] = FORMAT

    def _is_interrupted(self, trainer: Any) -> bool:
        """Ask all processes, so that none waits for one that has stopped."""
        return bool(trainer.strategy.reduce_boolean_decision(self._interruption.wanted, all=False))

    def _save(self, trainer: Any) -> None:
        writer = atomic_path(self._path) if trainer.is_global_zero else contextlib.nullcontext(self._path)
        with writer as temporary:
            trainer.save_checkpoint(temporary)  # by all processes; the first writes


def check_state(path: Path) -> int:
    """Find a training state broken before Lightning does, which would speak of pickles.

    Args:
        path: Where it lies, if there is one.

    Returns:
        Steps that are done in it; 0 where there is none.

    Raises:
        CheckpointError: If it is no training state, or one of another version.
    """
    if not path.exists():
        return 0
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        number, steps = content.get(_KEY, 1), int(content["global_step"])
    except Exception as error:  # torch has many ways to say that a file is broken
        raise CheckpointError(
            f"{path}: expected a training state to go on from, got something else or half of one; delete it to start "
            "anew"
        ) from error
    if number != FORMAT:
        raise CheckpointError(
            f"{path}: expected a training state of format {FORMAT}, got {number}, which another version of hiersep "
            "wrote; end the training with that, or delete the file to start anew"
        )
    return steps
