"""nussl 1.1.9 on SciPy 1.13, librosa 0.10, NumPy 2, pandas 2 and later, and without ffmpeg.

Not mended: ``nussl.ml.SeparationModel.load`` (it unpickles, which torch 2.6 refuses by default, and so does hiersep)
and ``nussl.datasets.transforms.Cache`` (a store of pickles, which zarr 3 no longer offers).
"""

from __future__ import annotations

import functools
import importlib
import sys
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hiersep.compat.patching import (
    Overlay,
    by_position,
    forget,
    import_host,
    quietly,
    temporarily,
    with_import,
)
from hiersep.errors import HiersepError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@functools.cache
def load() -> Any:
    """Import nussl and mend it.

    Returns:
        The module ``nussl``.
    """
    with quietly(), _window_names(), _stem_reader():
        nussl = import_host("nussl")
    _mend_librosa_calls(nussl)
    _mend_window_name(nussl)
    _mend_pictures(nussl)
    _mend_duet(nussl)
    _mend_report_card(nussl)
    return nussl


@contextmanager
def _window_names() -> Iterator[None]:
    """Show ``scipy.signal.hamming``, ``hann`` and ``blackman`` while ``nussl.core.constants`` asks their names.

    SciPy 1.13 keeps the windows in ``scipy.signal.windows`` only, so that ``import nussl`` fails.
    """
    signal = importlib.import_module("scipy.signal")
    gone = [name for name in ("hamming", "hann", "blackman") if not hasattr(signal, name)]
    with temporarily(signal, **{name: getattr(signal.windows, name) for name in gone}):
        yield


class _NoStemReader(ModuleType):
    """Stands in for stempeg inside musdb: any use says what is missing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise HiersepError(
            f"MUSDB's stem files (stempeg.{name}) need ffmpeg and ffprobe, which were not found; "
            "install ffmpeg, e.g. `apt-get install ffmpeg`"
        )


@contextmanager
def _stem_reader() -> Iterator[None]:
    """Let nussl's musdb and museval be imported where ffmpeg is not installed.

    Both import stempeg, which raises RuntimeError without ffmpeg; nussl catches that for musdb and then fails on
    museval, which its BSSEvalV4 needs. A stand-in for stempeg is shown to them. nussl alone keeps these three:
    they leave `sys.modules` again, so that an ``import stempeg`` elsewhere still tells the truth.
    """
    try:
        importlib.import_module("musdb")
    except ModuleNotFoundError:
        yield  # nussl's own import names what is missing
    except RuntimeError:
        private = ("stempeg", "musdb", "museval")
        forget(*private)
        sys.modules["stempeg"] = _NoStemReader("stempeg")
        try:
            yield
        finally:
            forget(*private)
    else:
        yield


def _mend_librosa_calls(nussl: Any) -> None:
    """Let nussl call librosa by position: ``AudioSignal.resample`` and ``rms(win_len=...)``, ``MelProjection``.

    Since librosa 0.10 these functions take keywords only.
    """
    nussl.core.audio_signal.librosa = Overlay(
        "librosa",
        resample=by_position("librosa", "resample", "y", "orig_sr", "target_sr"),
        feature=Overlay("librosa.feature", rms=by_position("librosa.feature", "rms", "y")),
    )
    mel = by_position("librosa.filters", "mel", "sr", "n_fft", "n_mels")
    nussl.ml.networks.modules.blocks.librosa = Overlay("librosa", filters=Overlay("librosa.filters", mel=mel))


def _mend_window_name(nussl: Any) -> None:
    """Let ``AudioSignal.get_window`` know "hanning", the default of ``nussl.separation.composite.OverlapAdd``.

    SciPy 1.17 has no second names for its windows.
    """

    def get_window(window: Any, *args: Any, **kwargs: Any) -> Any:
        named = "hann" if window == "hanning" else window
        return importlib.import_module("scipy.signal").get_window(named, *args, **kwargs)

    nussl.core.audio_signal.scipy = Overlay("scipy", signal=Overlay("scipy.signal", get_window=get_window))


def _mend_pictures(nussl: Any) -> None:
    """Let ``nussl.core.utils.visualize_*`` draw.

    librosa 0.10 took ``display.waveplot`` away (``waveshow`` is its heir) and made ``melspectrogram`` keyword-only;
    0.11 gave the private ``__scale_axes`` two arguments more (here with the defaults of its caller ``specshow``).
    """

    def waveplot(y: Any, *, x_axis: str | None = "time", **kwargs: Any) -> Any:
        return importlib.import_module("librosa.display").waveshow(y, axis=x_axis, **kwargs)

    def scale_axes(*args: Any) -> Any:
        scale = importlib.import_module("librosa.display").__scale_axes
        tempo_limits = (16.0, 480.0)  # beats per minute
        return scale(*args, *tempo_limits[: scale.__code__.co_argcount - len(args)])

    melspectrogram = by_position("librosa.feature", "melspectrogram", "y")
    librosa = Overlay(
        "librosa",
        feature=Overlay("librosa.feature", melspectrogram=melspectrogram),
        display=Overlay("librosa.display", waveplot=waveplot, __scale_axes=scale_axes),
    )
    utils = nussl.core.utils
    for name in ("visualize_spectrogram", "visualize_waveform", "visualize_sources_as_masks"):
        setattr(utils, name, with_import(getattr(utils, name), "librosa.display", librosa))


def _mend_duet(nussl: Any) -> None:
    """Let ``nussl.separation.spatial.Duet`` find ``np.mat``, which NumPy 2.0 took away."""
    numpy = importlib.import_module("numpy")
    nussl.separation.spatial.duet.np = Overlay("numpy", mat=lambda data: numpy.atleast_2d(data).view(numpy.matrix))


def _mend_report_card(nussl: Any) -> None:
    """Let ``nussl.evaluation.report_card`` average the columns of numbers and leave those of names alone.

    pandas 2.0 raises on the mean of text, which it once left out.
    """

    def numbers_only(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(df: Any, decs: int = 2) -> Any:
            return function(df.select_dtypes("number"), decs=decs)

        return call

    module = nussl.evaluation.report_card.__globals__
    for name in ("_get_mean_and_std", "_get_medians"):
        module[name] = numbers_only(module[name])
