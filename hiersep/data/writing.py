"""Draw mixtures and write them into a folder, and rebuild such a folder from its annotations.

What a mixture holds depends on the settings and its number alone: the bytes are the same for any number of jobs.
`hiersep.data.folders` has the layout.
"""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hiersep.data.catalog import open_dataset
from hiersep.data.folders import MIX, SUBTYPES, fill_folder, write_mixture
from hiersep.data.labels import Labels
from hiersep.data.mixers import load_mixing, make_mixer
from hiersep.data.mixtures import report_unclaimed
from hiersep.data.recipe import Recipe, render_recipe
from hiersep.data.restoring import read_annotation
from hiersep.data.sampling import ClipRules, Sampler
from hiersep.errors import DataError, HierarchyError
from hiersep.files import size_text
from hiersep.hierarchy import Hierarchy
from hiersep.typed import expect

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from hiersep.data.catalog import Catalog
    from hiersep.data.restoring import Annotation

_WAV_BYTES, _FLAC_BYTES = 4, 2.0  # of a sample; flac of 24 bits takes less the quieter it is
REF_DB = -20.0  # LUFS that scaper's snr is over, where no distributions say otherwise


@dataclass(frozen=True)
class WriteSettings:
    """What to write.

    Attributes:
        data: A data set that `open_dataset` recognises.
        hierarchy: Shipped name or file.
        num: How many mixtures.
        split: Whose tracks; None takes all.
        target: A node that is salient in every mixture; its path below the root is written. None: every node that a
            stem of the split belongs to is written, and one of them is salient.
        duration: Length of a mixture in seconds.
        seed: Decides all draws, with a mixture's number.
        sample_rate: In Hz.
        channels: 1 or 2.
        mixing: ``coherent``, ``incoherent``, or the name of a file of distributions.
        format: ``wav`` of 32 bits, as scaper writes it, or ``flac`` of 24.
    """

    data: str
    hierarchy: str
    num: int
    split: str | None = None
    target: str | None = None
    duration: float = 10.0
    seed: int = 0
    sample_rate: int = 16000
    channels: int = 1
    mixing: str = "coherent"
    format: Literal["wav", "flac"] = "wav"

    def __post_init__(self) -> None:
        expect(1 <= self.num <= 10**6, "num", "1 to 1000000 mixtures", self.num)
        expect(0 < self.duration <= 600, "duration", "more than 0, at most 600 seconds", self.duration)
        expect(self.seed >= 0, "seed", "0 or more", self.seed)
        expect(4000 <= self.sample_rate <= 192000, "sample_rate", "4000 to 192000 Hz", self.sample_rate)
        expect(self.channels in (1, 2), "channels", "1 or 2", self.channels)
        expect(self.format in SUBTYPES, "format", " or ".join(SUBTYPES), self.format)


@dataclass(frozen=True)
class WriteSummary:
    """What lies in the folder after a run.

    Attributes:
        path: The folder.
        mixtures: How many.
        nodes: Nodes that were written.
        skipped: Mixtures that were there already.
        failed: Mixtures that could not be rebuilt, or came out otherwise, each with the reason.
    """

    path: Path
    mixtures: int
    nodes: tuple[str, ...]
    skipped: int
    failed: tuple[str, ...] = ()


class _Drawing:
    """Draws the recipes of a folder: a pure function of the settings and a mixture's number."""

    def __init__(self, settings: WriteSettings, jobs: int):
        self.catalog: Catalog = open_dataset(settings.data, sample_rate=settings.sample_rate, jobs=jobs, lenient=False)
        self.hierarchy, self._settings = Hierarchy.load(settings.hierarchy), settings
        self._labels = Labels(self.catalog, self.hierarchy)
        tracks = self.catalog.select(settings.split)
        report_unclaimed(self.catalog, tracks, self.hierarchy, split=settings.split)
        self.nodes = self._nodes(tracks)
        targets = [settings.target] if settings.target else self.nodes
        rules = ClipRules(settings.duration)
        self._sampler = Sampler(self.catalog, self._labels, settings.split, targets, wanted=self.nodes, rules=rules)
        plain = settings.mixing in ("coherent", "incoherent")
        mixing = settings.mixing if plain else load_mixing(settings.mixing)
        self.mixing = mixing if isinstance(mixing, str) else mixing.to_dict()
        self._ref_db = REF_DB if isinstance(mixing, str) else mixing.ref_db
        self._mixer = make_mixer(mixing, self.catalog, tracks, self.hierarchy, settings.duration)

    def _nodes(self, tracks: Sequence[int]) -> tuple[str, ...]:
        """Nodes to write: the target's path, or all that a stem belongs to."""
        if self._settings.target is not None:
            nodes = self.hierarchy.path(self._settings.target)[1:]
        else:
            held = np.any([self._labels.of(track).membership.any(axis=1) for track in tracks], axis=0)
            nodes = tuple(id for id, holds in zip(self.hierarchy.ids, held, strict=True) if holds)[1:]
        if not nodes or MIX in nodes:
            expected = f"a target below the root, and no node called '{MIX}'"
            raise HierarchyError(f"hierarchy '{self.hierarchy.name}': expected {expected}, got {list(nodes)}")
        return nodes

    def recipe(self, index: int) -> Recipe:
        """Draw mixture `index`."""
        settings = self._settings
        rng = np.random.default_rng([settings.seed, 0, index])
        clip = self._sampler.draw(rng)
        spec = self._mixer.remix(clip, self._labels.of(clip.track).claims, rng)
        return Recipe(
            spec,
            self.hierarchy,
            self.nodes,
            sample_rate=settings.sample_rate,
            channels=settings.channels,
            audio=settings.format,
            seed=settings.seed,
            index=index,
            ref_db=self._ref_db,
        )

    def write(self, out: Path, name: str) -> None:
        """Draw the mixture of this name, which is its number, and write it."""
        recipe = self.recipe(int(name))
        write_mixture(out, name, self.catalog, recipe, render_recipe(self.catalog, recipe))

    def to_dict(self) -> dict[str, Any]:
        """Say all that the mixtures depend on."""
        content = {**asdict(self._settings), "hierarchy": self.hierarchy.to_dict(), "mixing": self.mixing}
        return {**content, "data": str(self.catalog.folder), "nodes": list(self.nodes), "catalog": self.catalog.key}


def write_mixtures(out: str | os.PathLike[str], settings: WriteSettings, *, jobs: int = -1) -> WriteSummary:
    """Draw mixtures and write them: audio, annotations and a manifest.

    Args:
        out: A folder: new, empty, or one that was begun with the same settings.
        settings: What to write.
        jobs: Processes; -1 takes all cores.

    Raises:
        ConfigError: If a setting is out of range, or the distributions are wrong.
        DataError: If the folder holds something else, or the data set cannot be used.
        HierarchyError: If the hierarchy, or a node of it, is not known.
    """
    _check_jobs(jobs)
    out, drawing = Path(out), _Drawing(settings, jobs)
    names = [f"{index:06d}" for index in range(settings.num)]
    entries, skipped, _ = fill_folder(out, names, drawing.write, settings=drawing.to_dict(), jobs=jobs)
    return WriteSummary(out, len(entries), drawing.nodes, skipped)


def foresee_mixtures(settings: WriteSettings, *, jobs: int = -1) -> str:
    """Say in a line what `write_mixtures` would write, and write nothing but the catalog of the data.

    Raises:
        ConfigError: As `write_mixtures` does.
        DataError: As `write_mixtures` does.
        HierarchyError: As `write_mixtures` does.
    """
    _check_jobs(jobs)
    nodes = _Drawing(settings, jobs).nodes
    samples = settings.num * (len(nodes) + 1) * settings.duration * settings.sample_rate * settings.channels
    size = samples * (_WAV_BYTES if settings.format == "wav" else _FLAC_BYTES)
    return f"{settings.num} mixtures of {len(nodes)} nodes, about {size_text(size)}: {', '.join(nodes)}"


def rebuild_mixtures(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    jobs: int = -1,
) -> WriteSummary:
    """Write the mixtures of a folder again, from its annotations alone.

    Args:
        source: A folder that `write_mixtures` wrote, or one with its ``.jams`` files.
        out: Another folder: new, empty, or one that this was begun in.
        data: The data set's folder, if it has moved. Default: what the annotations say.
        jobs: Processes; -1 takes all cores.

    Returns:
        What was written; ``failed`` names the mixtures that could not be, or whose samples are not what they were.

    Raises:
        DataError: If there is no annotation, the data set cannot be used, or `out` holds something else.
    """
    _check_jobs(jobs)
    source, out = Path(source).resolve(), Path(out)
    names = sorted(path.stem for path in source.glob("*.jams"))
    if not names:
        raise DataError(
            f"{source}: expected annotations (*.jams) of mixtures, found none; name a folder of `hiersep mix`"
        )
    moved = None if data is None else str(Path(data).resolve())
    first = read_annotation(source / f"{names[0]}.jams")
    catalog = open_dataset(
        moved or first.settings.data, sample_rate=first.settings.sample_rate, jobs=jobs, lenient=False
    )
    write = functools.partial(_rebuild, source, catalog, first)
    entries, skipped, failed = fill_folder(
        out, names, write, settings={"from_jams": str(source), "data": moved}, jobs=jobs
    )
    nodes = tuple(dict.fromkeys(node for entry in entries for node in entry["nodes"]))
    return WriteSummary(out, len(entries), nodes, skipped, tuple(failed))


def _check_jobs(jobs: int) -> None:
    expect(jobs == -1 or jobs >= 1, "jobs", "at least 1", jobs)


def _rebuild(source: Path, catalog: Catalog, first: Annotation, out: Path, name: str) -> str | None:
    """Write one mixture again; where that cannot be, say why."""
    try:
        annotation = read_annotation(source / f"{name}.jams")
        there, here = ((a.settings.data, a.settings.sample_rate) for a in (first, annotation))
        if there != here:
            return f"expected the data set and the rate of {first.path.name}, {there}, got {here}"
        recipe = annotation.recipe(catalog)
        rendition = render_recipe(catalog, recipe)
    except DataError as error:
        return str(error)
    if rendition.digest != annotation.settings.digest:
        return "its samples are not those that were annotated: its stems, or a library, have changed"
    write_mixture(out, name, catalog, recipe, rendition)
    return None
