"""The training state: saved as the training goes, so that after whatever kills it, it goes on as if nothing had been.

The file holds weights, optimizer, schedule, clipping history, averages, the losses of the epoch so far and the place in
the data. What is drawn, mixtures and dropout alike, follows from (seed, epoch, batch), so no generator is in it. It is
read with ``weights_only``: it cannot run code.
"""

from __future__ import annotations

import contextlib
import io
import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from tqdm import tqdm

from hiersep.compat import pytorch_lightning as pl
from hiersep.errors import CheckpointError
from hiersep.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hiersep.compat import asteroid

FORMAT = 3
_KEY, _NETWORK, _SECONDS = "hiersep", "network", "seconds"
_PARTS = ("callbacks", "loops", "optimizer_states", "state_dict")  # Lightning's, without which nothing goes on


class Progress(NamedTuple):
    """How far a training is.

    Attributes:
        steps: That are done.
        seconds: That it took, in all sessions.
    """

    steps: int = 0
    seconds: float = 0.0


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


class StateFile(pl.plugins.TorchCheckpointIO):
    """Write a state where it is told to; Lightning's own way is by the system's place for temporary files.

    That may be small, or another disk, and what a kill leaves there nobody removes.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write."""
        buffer = io.BytesIO()  # a disk that is full is an OSError then, and none of torch's many errors
        torch.save(checkpoint, buffer)
        Path(path).write_bytes(buffer.getbuffer())


class SaveState(pl.Callback):
    """Save the training state every few steps, at the end of every epoch, and when interrupted; comes last.

    Args:
        path: Where to.
        every: Steps between two states.
        interruption: Asked after every step, and at the end of every epoch; so is whether SIGTERM came, by which
            SLURM and docker end a job.
        before: How far earlier sessions came.
    """

    def __init__(self, path: Path, every: int, interruption: Interruption, before: Progress):
        self._path, self._every, self._interruption = path, every, interruption
        self._started = time.monotonic() - before.seconds

    @property
    def seconds(self) -> float:
        """How long the training has taken, in all sessions."""
        return time.monotonic() - self._started

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
        """Say in which form the state is, of which network, and how long it took."""
        checkpoint[_KEY] = FORMAT
        checkpoint[_NETWORK] = identity(pl_module.model)
        checkpoint[_SECONDS] = self.seconds

    def _is_interrupted(self, trainer: Any) -> bool:
        """Ask all processes, so that none waits for one that has stopped."""
        wanted = self._interruption.wanted or trainer.received_sigterm
        return bool(trainer.strategy.reduce_boolean_decision(wanted, all=False))

    def _save(self, trainer: Any) -> None:
        writer = atomic_path(self._path) if trainer.is_global_zero else contextlib.nullcontext(self._path)
        with writer as temporary:
            trainer.save_checkpoint(temporary)  # by all processes; the first writes


def identity(model: asteroid.models.BaseModel) -> str:
    """Name a network by all that makes it, its hierarchy and nodes included."""
    return json.dumps([type(model).__name__, model.get_model_args()])  # siblings stand in their order


def check_state(path: Path, model: asteroid.models.BaseModel) -> Progress:
    """Find a training state broken, or another network's, before Lightning does, which would speak of pickles.

    Args:
        path: Where it lies.
        model: What shall go on.

    Raises:
        CheckpointError: If it is no training state, one of another version, or of another network.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        number = content.get(_KEY, 1)
        progress = Progress(int(content["global_step"]), float(content.get(_SECONDS, 0)))
        if number == FORMAT and not all(part in content for part in (_NETWORK, *_PARTS)):
            raise ValueError("half of it is missing")
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
    if content[_NETWORK] != identity(model):
        raise CheckpointError(
            f"{path}: expected the state of the network that the configuration describes, got another's: the "
            "hierarchy's file has changed since; restore it, or delete the state to start anew"
        )
    return progress
