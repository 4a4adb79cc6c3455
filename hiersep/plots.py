"""Pictures, where people would rather look than read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hiersep.audio import fit_length
from hiersep.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
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


def plot_boxes(path: Path, gains: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """Draw how much every row adds to the mixture, level by level: median, quartiles, and how far the rest reaches.

    Args:
        path: Picture to write.
        gains: Improvements in dB, by level, coarse to fine, and by row.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 + 2.4 * len(gains), 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(gains), squeeze=False, sharey=True)
    for axis, (level, rows) in zip(axes.flat, gains.items(), strict=True):
        clips = max(map(len, rows.values()))
        axis.set_title(f"{level.replace('_', ' ')}: {clips} scored", fontsize=10, loc="left")
        axis.axhline(0, color="grey", linewidth=0.8)
        if clips:
            boxes = axis.boxplot(list(rows.values()), patch_artist=True, widths=0.6, flierprops={"markersize": 3})
            for box, colour in zip(boxes["boxes"], _COLOURS, strict=False):
                box.set_facecolor(colour)
            for median in boxes["medians"]:
                median.set_color("black")
        axis.set_xticks(range(1, 1 + len(rows)), [row.replace("_", " ") for row in rows], rotation=45, ha="right")
    axes[0, 0].set_ylabel("SI-SDR improvement over the mixture, dB")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def plot_over_input(path: Path, inputs: Mapping[str, Sequence[float]], gains: Mapping[str, Sequence[float]]) -> None:
    """Draw how much the network adds against how much was there to begin with, one point per scored clip and node.

    Args:
        path: Picture to write.
        inputs: SI-SDR of the mixtures in dB, by level, coarse to fine.
        gains: Improvements over them in dB, likewise.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    axis.axhline(0, color="grey", linewidth=0.8)
    for number, (level, values) in enumerate(inputs.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        axis.scatter(values, gains[level], s=9, alpha=0.6, color=colour, label=level.replace("_", " "))
    axis.set_xlabel("SI-SDR of the mixture, dB")
    axis.set_ylabel("SI-SDR improvement, dB")
    axis.legend(fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def mask_picture(
    mixture_db: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32], estimated: npt.NDArray[np.float32]
) -> npt.NDArray[np.uint8]:
    """Lay a mixture's spectrogram and two masks side by side: a pixel per bin, low frequencies at the bottom.

    Args:
        mixture_db: Level of the mixture in dB; the loudest bin is the brightest, and 70 dB below it all is black.
        wanted: Mask to compare with, in [0, 1].
        estimated: Mask; beyond 1 it looks like 1.

    Returns:
        Red, green and blue of every pixel.

    Shape:
        all: (freq, frame); output: (freq, 3 * frame + 8, 3), the 8 columns white.

    Example:
        >>> mask_picture(*np.zeros((3, 5, 7), np.float32)).shape
        (5, 29, 3)
    """
    from matplotlib import colormaps

    level = 1 + (mixture_db - mixture_db.max()) / _RANGE_DB
    panels = [colormaps["magma"](np.flipud(panel), bytes=True)[..., :3] for panel in (level, wanted, estimated)]
    gap = np.full((len(level), 4, 3), 255, np.uint8)
    return np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)
