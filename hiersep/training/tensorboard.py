"""What TensorBoard shows of a training: curves, and how one clip of the validation set is taken apart.

Lightning's logger writes all that is logged, losses and scores per node, once an epoch. Added are what changes from
step to step, and after every validation the masks of one fixed clip, and its sound. All lies in one folder of the
experiment, which a resumed training goes on with: what an interrupted one wrote after its last saved state is hidden
there, as those steps are taken again.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from hiersep.compat import pytorch_lightning as pl
from hiersep.files import NO_ROOM, unwritable
from hiersep.models.oracle import phase_sensitive_mask
from hiersep.models.separator import level_db
from hiersep.plots import mask_picture
from hiersep.training.clip import AutoClip
from hiersep.training.names import TENSORBOARD_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import torch

_STEPS = 10  # from one point of the curves to the next
_LONGEST_S = 10.0
_MOST_NODES = 8  # of a tree, its coarsest: every epoch writes about half a megabyte for each


class Logger(pl.loggers.TensorBoardLogger):
    """Lightning's logger for TensorBoard, in an experiment's folder.

    Args:
        exp_dir: The folder.
        steps: That are done already; whatever was written of later ones is hidden. Steps are counted from 0.
    """

    def __init__(self, exp_dir: Path, steps: int):
        super().__init__(exp_dir, name=TENSORBOARD_NAME, version="", default_hp_metric=False, purge_step=steps)

    def save(self) -> None:
        """Write what is pending, and no file of settings beside it: those stand in ``conf.yml``."""
        self.experiment.flush()


@contextlib.contextmanager
def full_disk_said_once(exp_dir: Path) -> Iterator[None]:
    """Let a disk that fills end a training with one line.

    TensorBoard writes in a thread. That would print its traceback; and the error, which is raised again where the next
    value is logged, does not say which file it is of.

    Raises:
        DataError: If there is no room.
    """
    before = threading.excepthook

    def heard(failure: threading.ExceptHookArgs) -> None:
        if getattr(failure.exc_value, "errno", None) not in NO_ROOM:
            before(failure)

    threading.excepthook = heard
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM or error.filename is not None:
            raise
        raise unwritable(exp_dir / TENSORBOARD_NAME, error) from error
    finally:
        threading.excepthook = before


class ShowInTensorBoard(pl.Callback):
    """Write what changes from step to step, and after every validation how a clip is taken apart.

    Pictures show, from left to right, the mixture's spectrogram, the mask that was wanted and the one that was
    estimated: a pixel per bin, low frequencies at the bottom. Of several channels the mean is shown, and heard.

    Args:
        item: A clip of the validation set, as the data set gives it; its first 10 s are taken. Nodes that are not known
            in it are left out.
    """

    def __init__(self, item: Mapping[str, torch.Tensor]):
        self._item = item

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Write what is heard in the clip, once."""
        if trainer.global_step or not trainer.is_global_zero:
            return
        batch = self._batch(pl_module)
        self._write_sound(trainer, pl_module, "mixture", batch["mix"][0])
        for node, position in self._shown(pl_module.model.nodes).items():
            self._write_sound(trainer, pl_module, f"{node}/reference", batch["sources"][0, position])

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Write loss, learning rate, gradient norm and AutoClip's limit, now and then."""
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0 or trainer.is_last_batch
        if not stepped or _last_step(trainer) % _STEPS:
            return
        # Lightning gives each process's own, divided by the batches of a step.
        loss = trainer.strategy.reduce(outputs["loss"] * trainer.accumulate_grad_batches, reduce_op="mean")
        clip = next(callback for callback in trainer.callbacks if isinstance(callback, AutoClip))
        values = {
            "loss": float(loss),
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "gradient_norm": clip.norm,
            "clip_limit": clip.limit,
        }
        trainer.logger.log_metrics({f"step/{name}": value for name, value in values.items()}, _last_step(trainer))

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Write masks and sound of the clip."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        model, batch = pl_module.kept, self._batch(pl_module)
        separation = model.separate_batch(batch["mix"], model.condition_of(batch))
        wanted = phase_sensitive_mask(separation.spectrum, model.stft(batch["sources"]))[0].mean(dim=1)
        estimated = separation.masks[0].abs().mean(dim=1)  # (node, freq, frame)
        level = level_db(separation.spectrum[0]).mean(dim=0)
        waveforms = separation.waveforms()[0]
        for node, position in self._shown(model.nodes).items():
            panels = [panel.float().cpu().numpy() for panel in (level, wanted[position], estimated[position])]
            picture = mask_picture(*panels)
            trainer.logger.experiment.add_image(f"masks/{node}", picture, _last_step(trainer), dataformats="HWC")
            self._write_sound(trainer, pl_module, f"{node}/estimate", waveforms[position])

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Write what is pending: a training that goes on from this state will not write it again."""
        trainer.logger.experiment.flush()

    def _batch(self, pl_module: Any) -> dict[str, torch.Tensor]:
        """Make a batch of the clip's beginning; the query stays whole."""
        samples = round(_LONGEST_S * pl_module.model.sample_rate)
        cut = {name: self._item[name][..., :samples] for name in ("mix", "sources")}
        return {name: tensor[None].to(pl_module.device) for name, tensor in {**self._item, **cut}.items()}

    def _shown(self, nodes: tuple[str, ...]) -> dict[str, int]:
        """Positions of the nodes that are shown."""
        known = [(node, position) for position, node in enumerate(nodes) if self._item["known"][position]]
        return dict(known[:_MOST_NODES])

    def _write_sound(self, trainer: Any, pl_module: Any, name: str, waveform: torch.Tensor) -> None:
        mono = waveform.float().mean(dim=0).clamp(-1, 1).cpu()  # (time,)
        rate = pl_module.model.sample_rate
        trainer.logger.experiment.add_audio(f"sound/{name}", mono, _last_step(trainer), sample_rate=rate)


def _last_step(trainer: Any) -> int:
    """Number of the step that was taken last, as Lightning counts where it logs: from 0."""
    return max(int(trainer.global_step) - 1, 0)
