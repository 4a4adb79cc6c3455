"""What was left out of a data set or mended when it was read, and why: each damage is named once."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hiersep.data.measuring import Measurement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hiersep.data.measuring import TrackMeasurement
    from hiersep.data.tracks import Track

SUM_DB = -50.0  # a mixture file that differs less is the sum of its stems, rounded to its format
MOST_NAMED = 5

# What can be found, and what it means; `open_dataset` warns of those marked.
KINDS = {
    "layout": ("said by the reader", True),
    "left out": ("cannot be read, and is in no mixture", True),
    "cut short": ("holds less than its header says; the rest is silence", True),
    "not the sum": ("the mixture file is not the sum of the stems; the sum is the mixture", True),
    "shorter": ("is shorter than its track; the rest is silence", False),
    "resampled": ("has another rate than the one worked at, and is resampled", False),
    "channels": ("has more than two channels; their mean, or the first two, are taken", False),
}


@dataclass(frozen=True)
class Finding:
    """One stem or mixture that is not as it should be.

    Attributes:
        kind: One of `KINDS`.
        text: The file, and what was found.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class IndexReport:
    """What was found when a data set was read and measured.

    Attributes:
        folder: Of the data set.
        dataset: Name of the reader that recognised it.
        sample_rate: Working rate in Hz.
        tracks: Number of tracks per split, in order; the key of tracks without a split is ``""``.
        stems: Number of stems in the mixtures.
        minutes: Of tracks.
        measured: Tracks that were listened to in this run; the others were known.
        store: Bytes of the store, or None without one.
        findings: In the order of the tracks.
        notes: What hinders the work besides: a cache that cannot be written to, a store that is no longer right.
    """

    folder: str
    dataset: str
    sample_rate: int
    tracks: dict[str, int]
    stems: int
    minutes: float
    measured: int
    store: int | None
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """Number of findings per kind, in the order of `KINDS`; kinds without any are left out."""
        counted = Counter(finding.kind for finding in self.findings)
        return {kind: counted[kind] for kind in KINDS if counted[kind]}

    def to_dict(self) -> dict[str, Any]:
        """Write it as JSON takes it."""
        return {**asdict(self), "counts": self.counts()}

    def warnings(self) -> Iterator[str]:
        """Yield what is worth a warning, in short: some findings by name, then their number."""
        yield from self.notes
        for kind, (_, warned) in KINDS.items():
            texts = [finding.text for finding in self.findings if finding.kind == kind] if warned else []
            yield from texts[:MOST_NAMED]
            if len(texts) > MOST_NAMED:
                yield f"{self.folder}: {len(texts) - MOST_NAMED} more are {kind}; `hiersep index` names them"


def find(tracks: Sequence[Track], measured: Sequence[TrackMeasurement], sample_rate: int) -> Iterator[Finding]:
    """Yield what is not as it should be, track by track.

    What all stems share, their rate or number of channels, is said once.
    """
    heard = [stem for track in measured for stem in track.stems if isinstance(stem, Measurement)]
    alike = {"resampled": len({m.sample_rate for m in heard}) == 1, "channels": len({m.channels for m in heard}) == 1}
    for track, found in zip(tracks, measured, strict=True):
        longest = max((m.duration for m in found.stems if isinstance(m, Measurement)), default=0.0)
        for stem, result in zip(track.stems, found.stems, strict=True):
            for finding in _of_stem(_name(stem.path, stem.stream), result, longest, sample_rate):
                if not alike.get(finding.kind):
                    yield finding
        yield from _of_mixture(track, found.difference_db)
    if heard:
        for finding in _of_stem(f"all {len(heard)} stems", heard[0], 0.0, sample_rate):
            if alike.get(finding.kind):
                yield finding


def _name(path: Path, stream: int | None) -> str:
    return str(path) if stream is None else f"{path}, stream {stream}"


def _of_stem(name: str, result: Measurement | str, longest: float, sample_rate: int) -> Iterator[Finding]:
    if isinstance(result, str):
        yield Finding("left out", f"left out of the mixture: {result}")
        return
    if result.lost:
        held = f"{result.frames} of {result.frames + result.lost} frames"
        yield Finding("cut short", f"{name}: holds {held} that its header promises; the rest is silence")
    if longest - result.duration > 0.5 / result.sample_rate:
        yield Finding("shorter", f"{name}: {result.duration:.3f} s of its track's {longest:.3f} s")
    if result.sample_rate != sample_rate:
        yield Finding("resampled", f"{name}: {result.sample_rate} Hz, resampled to {sample_rate} Hz")
    if result.channels > 2:
        yield Finding("channels", f"{name}: {result.channels} channels; their mean, or the first two, are taken")


def _of_mixture(track: Track, difference_db: float | str | None) -> Iterator[Finding]:
    if track.mixture is None or difference_db is None:
        return
    name = _name(track.mixture.path, track.mixture.stream)
    if isinstance(difference_db, str):
        yield Finding("not the sum", f"not compared with the sum of the stems: {difference_db}")
    elif difference_db > SUM_DB:
        text = f"{name}: not the sum of its stems, differs by {difference_db:.1f} dB; the sum is the mixture"
        yield Finding("not the sum", text)


def draw_report(report: IndexReport, most: int = 20) -> str:
    """Write a report as text: what there is, what hinders, then per kind how many and the first `most` of them."""
    counts = ", ".join(f"{split or 'tracks'} {count}" for split, count in report.tracks.items())
    lines = [
        f"{report.folder}: {report.dataset}; {counts}; {report.stems} stems, {report.minutes:.1f} minutes, "
        f"at {report.sample_rate} Hz",
        *report.notes,
    ]
    for kind, findings in itertools.groupby(sorted(report.findings, key=_order), key=lambda finding: finding.kind):
        texts = [finding.text for finding in findings]
        lines += ["", f"{kind}: {len(texts)} ({KINDS[kind][0]})", *(f"  {text}" for text in texts[:most])]
        lines += [f"  and {len(texts) - most} more, which --json names"] if len(texts) > most else []
    return "\n".join(lines)


def _order(finding: Finding) -> int:
    return list(KINDS).index(finding.kind)
