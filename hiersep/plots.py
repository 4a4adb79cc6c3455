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

    from hiersep.data.coverage import Coverage
    from hiersep.hierarchy import Hierarchy

_N_FFT = 1024
_RANGE_DB = 70.0
_MOST_NODES = 20  # of which a heat map stays legible
_COLOURS = ("#3b6ea5", "#d98032", "#4b9561", "#8b5fa3", "#a8504f", "#6f6f6f")  # of levels, coarse to fine


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


def plot_coverage(path: Path, coverage: Coverage, hierarchy: Hierarchy, level: str | None = None) -> None:
    """Draw what a data set holds: how often every node is salient, and which nodes of a level are together.

    Args:
        path: Picture to write, for example ``audit.png``.
        coverage: What it holds.
        hierarchy: Of the coverage.
        level: Whose nodes are set beside each other. Default: the finest with 20 salient nodes or fewer.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    by_level = {name: [n for n in coverage.nodes if n.level == name and n.stems] for name in hierarchy.levels[1:]}
    columns = [names for names in (list(by_level)[:-1], list(by_level)[-1:]) if names]
    rows = max(sum(len(by_level[name]) + 3 for name in names) for names in columns)
    figure = Figure(figsize=(4.2 * len(columns) + 8.5, max(6.5, 0.19 * rows)), layout="constrained")
    FigureCanvasAgg(figure)
    widths = [4.2] * len(columns) + [8.5]
    *bars, map_area = figure.subfigures(1, len(widths), squeeze=False, width_ratios=widths)[0]
    for area, names in zip(bars, columns, strict=True):
        axes = area.subplots(len(names), 1, squeeze=False, height_ratios=[len(by_level[name]) + 1 for name in names])
        for axis, name in zip(axes.flat, names, strict=True):
            shares = {hierarchy.node(node.id).display: 100 * node.share for node in by_level[name]}
            _draw_bars(axis, shares, _COLOURS[hierarchy.depth_of(name) % len(_COLOURS)])
            axis.set_title(f"{name}: salient in % of {coverage.windows} windows", fontsize=9, loc="left")
    _draw_together(map_area.subplots(), coverage, hierarchy, level or _legible_level(coverage, hierarchy))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _draw_bars(axis: Any, shares: Mapping[str, float], colour: str) -> None:
    """Draw a bar per share in percent, the first on top."""
    bars = axis.barh(list(shares), list(shares.values()), color=colour, height=0.75)
    axis.bar_label(bars, fmt="%.1f", fontsize=7, padding=2)
    axis.set_xlim(0, 112)  # room for the numbers
    axis.margins(y=0.01)
    axis.invert_yaxis()
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _salient_rows(coverage: Coverage, hierarchy: Hierarchy, level: str) -> list[int]:
    """Positions of the nodes of a level that are salient anywhere."""
    rows = map(hierarchy.index, hierarchy.at_level(level))
    return [row for row in rows if coverage.nodes[row].salient]


def _legible_level(coverage: Coverage, hierarchy: Hierarchy) -> str:
    """Name the finest level with few enough salient nodes; the root's has one at most."""
    levels = reversed(hierarchy.levels)
    return next(level for level in levels if len(_salient_rows(coverage, hierarchy, level)) <= _MOST_NODES)


def _draw_together(axis: Any, coverage: Coverage, hierarchy: Hierarchy, level: str) -> None:
    """Draw for each node of a level the share of its salient windows in which each other one is salient."""
    rows = _salient_rows(coverage, hierarchy, level)
    axis.set_title(f"{level}: where the row is salient, % in which the column is too", fontsize=10, loc="left")
    if not rows:
        axis.set_axis_off()
        return
    counts = coverage.together[np.ix_(rows, rows)]
    shares = 100 * counts / counts.diagonal()[:, None]
    np.fill_diagonal(shares, np.nan)  # left white
    image = axis.imshow(shares, vmin=0, vmax=100, cmap="magma")
    names = [hierarchy.nodes[row].display for row in rows]
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    for (row, column), share in np.ndenumerate(shares):
        if row != column:
            axis.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=7, color=_ink(share))
    axis.figure.colorbar(image, ax=axis, shrink=0.6)


def _ink(share: float) -> str:
    """Choose what is legible on the colour of a share in percent."""
    return "black" if share > 60 else "white"
