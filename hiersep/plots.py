"""Pictures, where people would rather look than read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hiersep.audio import fit_length
from hiersep.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

_N_FFT = 1024
_RANGE_DB = 70.0


def plot_path(
    path: Path,
    mixture: npt.NDArray[np.float32],
    references: Mapping[str, npt.NDArray[np.float32]],
    estimates: Mapping[str, npt.NDArray[np.float32]],
    sample_rate: int,
) -> None:
    """Draw a mixture taken apart: its spectrogram, and per level the true submix beside the estimate.

    Args:
        path: Picture to write, for example ``path.png``.
        mixture: The mixture.
        references: True submixes by node, coarse to fine.
        estimates: Estimates by node, in the same order.
        sample_rate: In Hz.

    Shape:
        all audio: (channel, time).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 2.1 * (1 + len(estimates))), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1 + len(estimates), 2, squeeze=False, sharex=True, sharey=True)
    loudest = _power_db(mixture).max()
    panels = [(mixture, "mixture"), (None, "")]
    for node in estimates:
        name = node.replace("_", " ")
        panels += [(estimates[node], f"{name}: separated"), (references.get(node), f"{name}: true")]
    for axis, (samples, title) in zip(axes.flat, panels, strict=True):
        if samples is None:
            axis.set_axis_off()
        else:
            _draw(axis, samples, sample_rate, loudest)
            axis.set_title(title, fontsize=10, loc="left")
    for axis in axes[:, 0]:
        axis.set_ylabel("kHz")
    for axis in axes[-1]:
        axis.set_xlabel("seconds")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _power_db(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Power per bin and frame of the channels' mean, in dB."""
    from scipy.signal import ShortTimeFFT, get_window

    transform = ShortTimeFFT(get_window("hann", _N_FFT), hop=_N_FFT // 4, fs=1.0)
    mono = samples.mean(axis=0)
    mono = fit_length(mono, max(len(mono), _N_FFT))  # SciPy wants half a window at least
    return np.asarray(10 * np.log10(transform.spectrogram(mono) + 1e-10))


def _draw(axis: Any, samples: npt.NDArray[np.float32], sample_rate: int, loudest: float) -> None:
    extent = (0, samples.shape[-1] / sample_rate, 0, sample_rate / 2000)
    axis.imshow(
        _power_db(samples),
        origin="lower",
        aspect="auto",
        extent=extent,
        vmin=loudest - _RANGE_DB,
        vmax=loudest,
        cmap="magma",
    )
