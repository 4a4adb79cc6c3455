"""The page: everything that people look at and listen to, in one file."""

from __future__ import annotations

import base64
import hashlib
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hiersep.errors import DataError, HierarchyError, HiersepWarning, near_miss
from hiersep.evaluation import HEADINGS, notes, table_rows
from hiersep.evaluation.tables import decibels
from hiersep.files import clock, write_text
from hiersep.hierarchy import Hierarchy
from hiersep.report.outline import Entry, outline
from hiersep.report.sound import LONGEST_S, Sound, embed, read_excerpt, seconds_that_fit
from hiersep.separation.files import open_source

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from hiersep.audio.reading import Audio
    from hiersep.report.outline import Outline
    from hiersep.separation.files import Source
    from hiersep.separation.spans import Span

    Place = str | os.PathLike[str]

PAGE_NAME = "report.html"
_TEMPLATES = Path(__file__).with_name("templates")
_SCRIPTS = ("mixer.js", "pictures.js", "page.js")


@dataclass(frozen=True)
class Truth:
    """What is known of a mixture beside what was separated.

    Attributes:
        references: True submixes, audio files by node.
        results: Content of the ``results.json`` of the evaluation that the mixture is an example of.
    """

    references: Mapping[str, Place] = field(default_factory=dict)
    results: Mapping[str, Any] | None = None


class Score(NamedTuple):
    """How good an estimate is: SI-SDR in dB, of it and of the mixture in its place."""

    si_sdr: float
    mixture: float


class Track(NamedTuple):
    """What a page plays and draws of a node, or of the mixture.

    Attributes:
        entry: Its place in the tree.
        separated: Number of the sound.
        true: Number of the true sound; None where none is known.
        score: None where there is nothing to score.
    """

    entry: Entry
    separated: int
    true: int | None = None
    score: Score | None = None


def write_report(
    mixture: Place,
    estimates: Mapping[str, Place],
    hierarchy: Hierarchy | Place | Mapping[str, Any],
    out: Place,
    *,
    query: Place | None = None,
    span: Span | None = None,
    truth: Truth | None = None,
) -> Path:
    """Write a page to listen to a separation and to look at it: one file, which opens from disk.

    It holds ten minutes at most, and less of many nodes; what is cut is said in the page, and by a warning.

    Args:
        mixture: Audio file that was taken apart.
        estimates: Audio files by node; or by level, of a network that is asked by an example. ``residual`` is what was
            left.
        hierarchy: Of the nodes, or what `Hierarchy.load` takes.
        out: The page, ``report.html``.
        query: Audio file of the example that was asked with.
        span: Of the mixture that was taken apart. Default: all.
        truth: References and scores, where they are known.

    Returns:
        The page.

    Raises:
        DataError: If a file cannot be read, a reference is not as long as its estimate, or the page cannot be written.
        HierarchyError: If the hierarchy has no node or level of a name.

    Example:
        >>> stems = {"guitar": "stems/guitar.wav", "drums": "stems/drums.wav"}
        >>> write_report("song.wav", stems, "slakh34", "stems/report.html")  # doctest: +SKIP
        PosixPath('stems/report.html')
    """
    hierarchy, truth = Hierarchy.load(hierarchy), truth or Truth()
    for node in truth.references:
        if node not in estimates:
            hint = near_miss(node, estimates)
            raise HierarchyError(f"references: expected nodes that were separated, got '{node}'{hint}")
    drawn = outline(hierarchy, tuple(estimates))
    with open_source(mixture, span) as source:
        contents = _Contents(source, estimates, truth)
        tracks = [contents.track(entry) for entry in drawn.root.walk() if entry.levels]
        asked = None if query is None else embed(*read_excerpt(query, 0.0, LONGEST_S)).text
    page = _fill(Path(mixture).name, drawn, contents, tracks=tracks, query=asked, results=truth.results)
    write_text(out, page)
    if contents.duration < contents.whole:
        warnings.warn(
            f"{out}: holds the first {clock(contents.duration)} of {clock(contents.whole)}, all that a browser plays "
            "well of so many nodes; the audio files are whole",
            HiersepWarning,
            stacklevel=2,
        )
    return Path(out)


class _Contents:
    """The sounds of a page, numbered as they are read, and what is known of their lengths.

    Args:
        source: The mixture, or a span of it.
        estimates: Audio files by node.
        truth: References, where they are known.
    """

    def __init__(self, source: Source, estimates: Mapping[str, Place], truth: Truth):
        self.sounds: list[Sound] = []
        self._estimates, self._truth = estimates, truth
        header = source.header
        self.whole, self.channels = source.frames / header.sample_rate, header.channels
        self.duration = min(
            self.whole, seconds_that_fit([source.path, *estimates.values(), *truth.references.values()])
        )
        self._mixture, self.rate = read_excerpt(source.path, source.start / header.sample_rate, self.duration)

    def track(self, entry: Entry) -> Track:
        """Read what is to be heard of a node, or of the mixture, the root."""
        if entry.levels == (0,):
            return Track(entry, self._add(self._mixture, self.rate))
        estimate, rate = read_excerpt(self._estimates[entry.id], 0.0, self.duration)
        number = self._add(estimate, rate)
        if entry.id not in self._truth.references:
            return Track(entry, number)
        path = self._truth.references[entry.id]
        reference, rate = read_excerpt(path, 0.0, self.duration)
        if not reference.shape == estimate.shape == self._mixture.shape:
            raise DataError(
                f"{path}: expected a reference with the channels and the length of estimate and mixture, got "
                f"{reference.shape[0]} channels of {reference.shape[1]} samples beside {estimate.shape} and "
                f"{self._mixture.shape}"
            )
        return Track(entry, number, self._add(reference, rate), _score(estimate, reference, self._mixture))

    def _add(self, samples: Audio, rate: int) -> int:
        self.sounds.append(embed(samples, rate))
        return len(self.sounds) - 1


def _score(estimate: Audio, reference: Audio, mixture: Audio) -> Score | None:
    import torch

    from hiersep.metrics import score_batch

    estimates, references, mixtures = (torch.from_numpy(samples)[None] for samples in (estimate, reference, mixture))
    scores = score_batch(estimates[None], references[None], mixtures)
    if not scores.scored.item():
        return None
    return Score(scores.si_sdr.item(), scores.si_sdr.item() - scores.si_sdri.item())


def _fill(
    name: str,
    drawn: Outline,
    contents: _Contents,
    *,
    tracks: Sequence[Track],
    query: str | None,
    results: Mapping[str, Any] | None,
) -> str:
    """Fill the template in; it escapes whatever is put into it."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(clock=clock, decibels=decibels)
    style = (_TEMPLATES / "page.css").read_text(encoding="utf-8")
    script = "\n".join((_TEMPLATES / script).read_text(encoding="utf-8") for script in _SCRIPTS)
    return environment.get_template("page.html").render(
        name=name,
        drawn=drawn,
        contents=contents,
        tracks=tracks,
        query=query,
        results=results,
        headings=HEADINGS,
        rows=table_rows(results) if results else [],
        notes=notes(results) if results else [],
        style=style,
        script=script,
        allowed=f"script-src {_digest(script)}; style-src {_digest(style)}",
    )


def _digest(text: str) -> str:
    """Name a text as a page's security policy does."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
