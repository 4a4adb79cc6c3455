"""Draws the pictures of the guide with the shipped networks, on songs that none of them has heard.

Usage, from the repository's root: python docs/pictures.py

Songs lie in out/pictures/; what is there already is not made again. It takes half a minute on one core. The pictures
are kept in docs/images/, so that the guide is built without torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from hiersep import HierarchicalMixtureDataset, Hierarchy, from_pretrained
from hiersep.files import atomic_path
from hiersep.models.constraints import running_maximum
from hiersep.models.separator import level_db
from hiersep.plots import plot_path
from hiersep.render import RenderSettings, render

if TYPE_CHECKING:
    from collections.abc import Sequence

IMAGES = Path(__file__).parent / "images"
SONGS = Path("out/pictures/songs")
SETTINGS = RenderSettings(tracks=24, seed=7, duration=20.0, splits=(0.0, 0.0, 1.0), format="wav")
PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
COLOURS = ("#3b6ea5", "#d98032", "#4b9561", "#8b5fa3", "#a8504f", "#b8b8b8")
HIGHEST_KHZ = 4.0
STARTS = (0.0, 0.78, 1.98, 3.0)  # of the columns of the tree
RATE, HOP = 16000, 512


def new_figure(width: float, height: float, layout: Any = "constrained") -> Any:
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, name: str) -> None:
    with atomic_path(IMAGES / name) as temporary:
        figure.savefig(temporary, dpi=100)
    shrink(IMAGES / name)


def shrink(picture: Path) -> None:
    """Bring a picture to a palette of 128 colours: a third of the size, and the eye sees no difference."""
    with Image.open(picture) as image, atomic_path(picture) as temporary:
        image.convert("RGB").quantize(128).save(temporary, format="png", optimize=True)
    print(picture, f"{picture.stat().st_size / 1000:.0f} kB")


def name_of(node: str) -> str:
    return node.replace("_", " ")


def draw_bins(axis: Any, bins: torch.Tensor, **limits: Any) -> Any:
    """Draw a spectrogram or a mask up to the highest frequency that is shown."""
    seconds = bins.shape[-1] * HOP / RATE
    image = axis.imshow(
        bins.numpy(),
        origin="lower",
        aspect="auto",
        extent=(0, seconds, 0, RATE / 2000),
        interpolation="nearest",
        **limits,
    )
    axis.set_ylim(0, HIGHEST_KHZ)
    return image


def spectrogram(axis: Any, spectrum: torch.Tensor, loudest: float | None = None) -> Any:
    """Draw the level of a spectrum, 60 dB below the loudest bin and more as black."""
    level = level_db(spectrum)
    loudest = float(level.max()) if loudest is None else loudest
    return draw_bins(axis, level, vmin=loudest - 60, vmax=loudest, cmap="magma")


def clip(**wanted: Any) -> tuple[Any, dict[str, Any]]:
    """Take the first clip of a kind from the songs: the data set, and the item."""
    dataset = HierarchicalMixtureDataset(str(SONGS), split="test", num_mixtures=24, seed=3, **wanted)
    return dataset, dataset[0]


def masks_of_a_path(item: dict[str, Any]) -> None:
    """One mixture, and the masks of the three levels of a path."""
    model = from_pretrained("guitar-path")
    with torch.inference_mode():
        separation = model.separate_batch(item["mix"][None])
    figure = new_figure(8, 7.6)
    axes = figure.subplots(4, 1, sharex=True)
    spectrogram(axes[0], separation.spectrum[0, 0])
    axes[0].set_title("mixture: level of every bin", loc="left", fontsize=11)
    for number, (node, mask) in enumerate(zip(model.nodes, separation.masks[0, :, 0], strict=True), 1):
        image = draw_bins(axes[number], mask, vmin=0, vmax=1, cmap="viridis")
        axes[number].set_title(f"mask of {name_of(node)}", loc="left", fontsize=11)
    figure.colorbar(image, ax=axes[1:], label="share of the bin that the node gets", pad=0.01, aspect=40)
    for axis in axes:
        axis.set_ylabel("kHz")
    axes[-1].set_xlabel("seconds")
    save(figure, "masks.png")


def a_path_taken_apart(item: dict[str, Any]) -> None:
    """The spectrograms of what comes out, beside the truth."""
    model = from_pretrained("guitar-path")
    with torch.inference_mode():
        estimates = model(item["mix"][None])[0].numpy()
    by_node = [dict(zip(model.nodes, audio, strict=True)) for audio in (item["sources"].numpy(), estimates)]
    plot_path(IMAGES / "path.png", item["mix"].numpy(), *by_node, RATE)
    shrink(IMAGES / "path.png")


def a_tree() -> None:
    """A hierarchy down to its classes, with one path marked."""
    hierarchy = Hierarchy.load("slakh_ismir2020").collapse("class")
    rows = {leaf: float(row) for row, leaf in enumerate(hierarchy.leaves)}
    for node in reversed(hierarchy.nodes):  # children come before their parents
        if node.children:
            rows[node.id] = float(np.mean([rows[child] for child in node.children]))
    path = set(hierarchy.path("clean_guitars"))
    figure = new_figure(8, 6.2, layout=None)
    axis = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    axis.set(xlim=(0, 3.72), ylim=(len(hierarchy.leaves) - 0.3, -2))
    axis.set_axis_off()
    for depth, level in enumerate(hierarchy.levels):
        axis.text(STARTS[depth], -1.4, f"level {depth}: {level}", fontsize=11, weight="bold")
    ends = {}
    for node in hierarchy.nodes:
        marked, here = node.id in path, STARTS[hierarchy.depth_of(node.level)]
        colour = COLOURS[1] if marked else "#222222"
        label = axis.text(here, rows[node.id], name_of(node.id), va="center", fontsize=10, color=colour)
        box = label.get_window_extent(figure.canvas.get_renderer())
        ends[node.id] = axis.transData.inverted().transform((box.x1, 0))[0]
        if node.parent is not None:
            xs = [ends[node.parent] + 0.03, here - 0.16, here - 0.03]
            ys = [rows[node.parent], rows[node.parent], rows[node.id]]
            style = {"color": COLOURS[1], "linewidth": 2.0} if marked else {"color": "#999999", "linewidth": 0.9}
            axis.plot(xs, ys, zorder=2 if marked else 1, **style)
    save(figure, "tree.png")


def a_parent_split(item: dict[str, Any]) -> None:
    """The mask of a parent in a tree, and how its children and a remainder share it."""
    model = from_pretrained("tree")
    with torch.inference_mode():
        separation = model.separate_batch(item["mix"][None])
    masks = separation.masks[0, :, 0]
    branching = next(branching for branching in model.branchings if branching.parent == PATH[0])
    parent = masks[branching.position]
    shares = {model.nodes[child]: masks[child] for child in branching.children}
    shares["remainder"] = parent - sum(shares.values())

    figure = new_figure(8, 7.4)
    grid = figure.add_gridspec(3, 3, height_ratios=[1, 1, 1.25])
    panels = {branching.parent: parent, **shares}
    for number, (node, mask) in enumerate(panels.items()):
        axis = figure.add_subplot(grid[divmod(number, 3)])
        draw_bins(axis, mask, vmin=0, vmax=1, cmap="viridis")
        sign = "=" if number == 0 else "+" if number < len(shares) else ""
        axis.set_title(f"{name_of(node)} {sign}", loc="left", fontsize=10)
        axis.tick_params(labelsize=8)
        axis.set_ylabel("" if number % 3 else "kHz")
    frame = int((parent * separation.spectrum[0, 0].abs()).sum(dim=0).argmax())
    axis = figure.add_subplot(grid[2, :])
    frequencies = np.linspace(0, RATE / 2000, len(parent))
    axis.stackplot(
        frequencies, [mask[:, frame].numpy() for mask in shares.values()], labels=map(name_of, shares), colors=COLOURS
    )
    axis.plot(frequencies, parent[:, frame], color="black", linewidth=1.4, label=name_of(branching.parent))
    axis.set(xlim=(0, 2.5), ylim=(0, 1.02), xlabel="kHz", ylabel="mask")
    title = (
        f"the same at second {frame * HOP / RATE:.1f}: piled up, children and remainder reach the line of the parent"
    )
    axis.set_title(title, loc="left", fontsize=10)
    figure.legend(fontsize=9, loc="outside lower center", ncols=6, columnspacing=1.0, handlelength=1.2)
    save(figure, "split.png")


def an_example_of(target: str, track: int) -> torch.Tensor:
    """Take an excerpt of an instrument alone, from another song than the mixture's."""
    asked = HierarchicalMixtureDataset(
        str(SONGS), "slakh34", split="test", num_mixtures=24, seed=3, query=True, target=target, query_duration=4.0
    )
    number = next(number for number in range(len(asked)) if asked.spec(number).query.track != track)
    return asked[number]["query"]


def questions(targets: Sequence[str]) -> None:
    """One mixture asked by two examples: what is shown, what comes out, and what is true."""
    dataset, _ = clip(hierarchy="slakh34", target=list(targets), duration=6.0)
    number, item = next(
        (number, item)
        for number, item in enumerate(map(dataset.__getitem__, range(len(dataset))))
        if (item["sources"].square().mean(dim=(1, 2)) > 10 ** (-30 / 10)).all()
    )
    model = from_pretrained("query")
    spectrum = model.stft(item["mix"])[0]
    figure = new_figure(8, 6.6)
    grid = figure.add_gridspec(3, 3)
    axis = figure.add_subplot(grid[0, :])
    spectrogram(axis, spectrum)
    axis.set_title("the mixture", loc="left", fontsize=11)
    axis.set_ylabel("kHz")
    for row, (target, truth) in enumerate(zip(dataset.nodes, item["sources"], strict=True), 1):
        loudest = float(level_db(model.stft(truth)).max())
        example = an_example_of(target, dataset.spec(number).events[0].track)
        with torch.inference_mode():
            estimate = model.separate_batch(item["mix"][None], model.embed(example[None])).waveforms()[0, -1]
        for column, (samples, title) in enumerate(
            ((example, f"example: {name_of(target)}, alone"), (estimate, "what comes out"), (truth, "what is true"))
        ):
            axis = figure.add_subplot(grid[row, column])
            spectrogram(axis, model.stft(samples)[0], loudest if column else None)
            axis.set_title(title, loc="left", fontsize=10)
            if row == len(targets):
                axis.set_xlabel("seconds")
            if not column:
                axis.set_ylabel("kHz")
    save(figure, "query.png")


def a_violation(item: dict[str, Any]) -> None:
    """Where a child's mask exceeds its parent's, and what the running maximum does about it."""
    model = from_pretrained("guitar-path")
    with torch.inference_mode():
        spectrum = model.stft(item["mix"][None])
        free = model.head_values(spectrum).sigmoid()
    held = running_maximum(free)
    free, held = free[0, 1:, 0], held[0, 1:, 0]  # guitar, clean guitars: (node, freq, frame)
    excess = (free[1] - free[0]).clamp(min=0)
    frame = int((excess * spectrum[0, 0].abs()).sum(dim=0).argmax())
    frequencies = np.linspace(0, RATE / 2000, free.shape[1])

    figure = new_figure(8, 5.6)
    axes = figure.subplots(2, 1, sharex=True)
    for axis, masks, title in (
        (axes[0], free, "without the constraint: the child takes what its parent does not have"),
        (axes[1], held, "with max: the parent has the larger of both"),
    ):
        parent, child = masks[:, :, frame].numpy()
        axis.fill_between(
            frequencies, parent, child, where=child > parent, color="#c0392b", alpha=0.85, label="violation"
        )
        axis.plot(frequencies, parent, color=COLOURS[0], linewidth=2.2, label="guitar, the parent")
        axis.plot(frequencies, child, color=COLOURS[1], linewidth=1.4, label="clean guitars, the child")
        axis.set(xlim=(0, 2.0), ylim=(0, 1.02), ylabel="mask")
        axis.set_title(title, loc="left", fontsize=11)
    axes[0].legend(fontsize=9, loc="upper right")
    axes[1].set_xlabel("kHz")
    save(figure, "constraint.png")


def main() -> None:
    torch.set_num_threads(1)
    IMAGES.mkdir(exist_ok=True)
    render(SONGS, SETTINGS)
    _, item = clip(hierarchy="slakh_ismir2020", target="clean_guitars", duration=8.0, alone=0.0)
    masks_of_a_path(item)
    a_path_taken_apart(item)
    a_tree()
    a_parent_split(item)
    questions(["drums", "electric_bass"])
    a_violation(item)


if __name__ == "__main__":
    main()
