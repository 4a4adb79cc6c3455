"""asteroid 0.7.0 on NumPy 2 and torch 2, beside a torchaudio that may not load, with outputs at their own level.

Not mended: ``BaseModel.from_pretrained(path)`` (it unpickles, which torch 2.6 refuses by default, and so does
hiersep; a dict passes), and XUMX (asteroid itself refuses it since torch 2.0).
"""

from __future__ import annotations

import functools
import importlib
import logging
import math
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from hiersep.compat.patching import Overlay, forget, import_host, quietly
from hiersep.errors import HiersepError

if TYPE_CHECKING:
    from collections.abc import Iterator


@functools.cache
def load() -> Any:
    """Import asteroid and mend it.

    Returns:
        The module ``asteroid``.
    """
    with quietly(), _optional_torchaudio() as reason:
        asteroid = import_host("asteroid")
        losses = import_host("asteroid.losses")
    _defer_engine(asteroid)
    if reason:
        _explain_stoi(losses, reason)
    _mend_levels(import_host("asteroid.separate"))
    _mend_gammatone(import_host("asteroid_filterbanks.multiphase_gammatone_fb"))
    _mend_dccrn(import_host("asteroid.masknn.recurrent"))
    return asteroid


def load_lightning() -> Any:
    """Import Lightning without the warning of the old torchmetrics that asteroid pins.

    Its log is held to what went wrong: that there is no TPU, and its advertisements, are not news.

    Returns:
        The module ``pytorch_lightning``.
    """
    with quietly():
        lightning = import_host("pytorch_lightning")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    return lightning


@contextmanager
def _optional_torchaudio() -> Iterator[str | None]:
    """Let asteroid do without torchaudio where the installed one does not load.

    A CUDA build beside a CPU torch raises OSError, one for another CUDA version RuntimeError; of all asteroid, only
    torch_stoi asks for it, and asteroid forgives its absence, not such errors. So it is shown as absent.

    Yields:
        Why torchaudio does not load; None where it does.
    """
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError) as error:
        forget("torchaudio")
        sys.modules["torchaudio"] = None  # type: ignore[assignment]  # the import system's sign for absent
        try:
            yield f"{type(error).__name__}: {error}"
        finally:
            del sys.modules["torchaudio"]
    else:
        yield None


def _defer_engine(asteroid: Any) -> None:
    """Let ``asteroid.engine`` be had as an attribute, imported at its first use.

    asteroid itself wants an import statement, at which torchmetrics 0.11 warns of ``pkg_resources``. It comes with
    Lightning, which takes 2 s and which separation does not need.
    """

    def find(name: str) -> Any:
        if name != "engine":
            raise AttributeError(f"module 'asteroid' has no attribute {name!r}")
        with quietly():
            return import_host("asteroid.engine")

    asteroid.__getattr__ = find


def _explain_stoi(losses: Any, reason: str) -> None:
    """Let ``asteroid.losses.SingleSrcNegSTOI`` say what it lacks: torchaudio, not torch_stoi."""

    def no_stoi_loss(*args: object, **kwargs: object) -> NoReturn:
        raise HiersepError(
            f"asteroid's SingleSrcNegSTOI needs torchaudio, which does not load ({reason}); "
            "install the torchaudio that belongs to your torch, from the same index"
        )

    losses.SingleSrcNegSTOI = no_stoi_loss


def _mend_levels(separate: Any) -> None:
    """Let ``asteroid.separate`` return what the model returns.

    `torch_separate`, through which every route of asteroid's goes, multiplies the outputs by sum|input| / sum|outputs|.
    That halves a parent and two children that sum to it, and turns silence into NaN. The one function is replaced. It
    also takes audio of one dimension, as asteroid documents and then refuses.
    """
    torch = importlib.import_module("torch")

    @functools.wraps(separate.torch_separate)
    def torch_separate(model: Any, wav: Any, **kwargs: Any) -> Any:
        channels = wav.shape[-2] if wav.ndim > 1 else 1
        if model.in_channels is not None and channels != model.in_channels:
            raise RuntimeError(f"the model takes {model.in_channels} channels, the audio has {channels}")
        device = separate.get_device(model, default="cpu")
        with torch.no_grad():
            estimates = getattr(model, "forward_wav", model)(wav.to(device), **kwargs)
        return estimates.to(wav.device)

    separate.torch_separate = torch_separate


def _mend_gammatone(filterbank: Any) -> None:
    """Let the multi-phase gammatone filterbank find ``np.float`` and ``np.math``.

    NumPy 1.24 and 2.0 took them away.
    """
    filterbank.np = Overlay("numpy", float=float, math=math)


def _mend_dccrn(recurrent: Any) -> None:
    """Let DCCRNet build: give torch's LSTM an int for its size.

    The size comes from ``np.prod`` as an int64, which torch 2.6 still takes and later ones refuse.
    """
    numpy = importlib.import_module("numpy")

    def prod(a: Any, axis: int | None = None) -> Any:
        product = numpy.prod(a, axis=axis)
        return product.item() if axis is None else product

    recurrent.np = Overlay("numpy", prod=prod)
