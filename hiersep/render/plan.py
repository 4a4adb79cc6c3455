"""What will be rendered: which song becomes which track of which split, decided before the first note.

Songs are dealt to splits, then tracks to the songs of a split, so that no song is heard on both sides of a
split; nor is a soundfont that is held out for test, nor another of its family. The plan, and all that the audio
depends on, is kept in ``render.json`` beside the tracks.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hiersep.data.augmentation import load_pedalboard
from hiersep.errors import ConfigError, DataError, HiersepWarning
from hiersep.files import fingerprint
from hiersep.render.composer import compose
from hiersep.render.doubling import double
from hiersep.render.midi import find_midi, read_midi
from hiersep.render.orchestrate import Arrangement, orchestrate
from hiersep.render.soundfonts import hold_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hiersep.render.song import Song
    from hiersep.render.soundfonts import Soundfont

FORMAT = 2  # raise it whenever equal settings give other bytes: a begun folder is then never mixed
TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
FORMATS = ("flac", "wav")
SAMPLE_RATES = (8000, 96000)  # what FluidSynth takes
SHORTEST_S = 1.0


@dataclass(frozen=True)
class RenderSettings:
    """What to render.

    Attributes:
        tracks: How many, over all splits; at least 1.
        seed: Decides everything that is drawn; at least 0.
        splits: Shares of train, validation and test; they add up to 1.
        midi: A folder of General MIDI files. None: songs are composed.
        soundfonts: Files, or names that `find_soundfonts` lists. Empty: pretty_midi's alone.
        test_soundfonts: Likewise. They play the test tracks, with those of `soundfonts` of their families, and no
            other track. Empty: all soundfonts play all tracks.
        effects: Whether stems get a room, and some drive, equalisation and compression.
        sample_rate: In Hz, 8000-96000.
        duration: Longest length of a track in seconds, at least 1.
        format: Of the audio files: ``flac`` or ``wav``, 16 bit.

    Raises:
        ConfigError: If one is out of its range.
    """

    tracks: int
    seed: int = 0
    splits: tuple[float, float, float] = (0.8, 0.1, 0.1)
    midi: str | Path | None = None
    soundfonts: tuple[str | Path, ...] = ()
    test_soundfonts: tuple[str | Path, ...] = ()
    effects: bool = False
    sample_rate: int = 16000
    duration: float = 60.0
    format: str = "flac"

    def __post_init__(self) -> None:
        if self.tracks < 1:
            raise ConfigError(f"tracks: expected at least 1, got {self.tracks}")
        if self.seed < 0:
            raise ConfigError(f"seed: expected 0 or more, got {self.seed}")
        shares = "/".join(f"{share:g}" for share in self.splits)
        if len(self.splits) != len(SPLITS) or not all(share >= 0 for share in self.splits):
            raise ConfigError(f"splits: expected three shares of 0 or more like 0.8/0.1/0.1, got {shares}")
        if not math.isclose(sum(self.splits), 1.0, abs_tol=1e-6):
            raise ConfigError(f"splits: expected shares that add up to 1, got {shares} (sum {sum(self.splits):g})")
        if not SAMPLE_RATES[0] <= self.sample_rate <= SAMPLE_RATES[1]:
            raise ConfigError(f"sample_rate: expected 8000-96000 Hz, got {self.sample_rate}")
        if not SHORTEST_S <= self.duration < math.inf:
            raise ConfigError(f"duration: expected at least {SHORTEST_S:g} second, got {self.duration:g}")
        if self.format not in FORMATS:
            raise ConfigError(f"format: expected flac or wav, got {self.format!r}")


@dataclass(frozen=True)
class SongSource:
    """Where a song comes from.

    Attributes:
        name: Without a machine's folders: ``composed/00003``, or the MIDI file's path in its folder.
        number: Of the song; composed songs are a function of it.
        path: The MIDI file; None for a composed song.
        digest: Of the MIDI file; empty for a composed song.
    """

    name: str
    number: int
    path: Path | None = None
    digest: str = ""

    def load(self, seed: int, duration: float) -> Song:
        """Compose the song or read it, and cut it to `duration` seconds."""
        return compose(seed, self.number, duration) if self.path is None else read_midi(self.path).cut(duration)


@dataclass(frozen=True)
class TrackPlan:
    """One track: its `name`, its `split`, its song, and which `rendering` of that song it is, from 0."""

    name: str
    split: str
    source: SongSource
    rendering: int


@dataclass(frozen=True)
class Plan:
    """All `tracks`, in order of their names, and the `soundfonts` that play those of each split."""

    settings: RenderSettings
    soundfonts: Mapping[str, tuple[Soundfont, ...]]
    tracks: tuple[TrackPlan, ...]

    def seed(self, track: TrackPlan, *more: int) -> tuple[int, ...]:
        """Give what a rendering's draws are seeded by; `more` tells them apart, numbers above 0."""
        # The song itself is drawn from the first two. NumPy takes a seed and the same with zeros behind it for one.
        return (self.settings.seed, track.source.number, 1 + track.rendering, *more)

    def arrange(self, track: TrackPlan) -> Arrangement:
        """Say what is played in a track: the song with its doublings, and the sound of each part.

        Every rendering of a song has its own.

        Raises:
            DataError: If the MIDI file has gone bad since it was planned.
        """
        song = track.source.load(self.settings.seed, self.settings.duration)
        rng = np.random.default_rng(self.seed(track))
        song, doubles = double(song, rng)
        return Arrangement(song, orchestrate(song, self.soundfonts[track.split], rng, doubles=doubles))

    def to_dict(self) -> dict[str, Any]:
        """Give what ``render.json`` holds: all that the audio depends on, and no path of this machine."""
        settings = self.settings
        content: dict[str, Any] = {
            "format": FORMAT,
            "settings": {
                "tracks": settings.tracks,
                "seed": settings.seed,
                "splits": list(settings.splits),
                "source": "composed" if settings.midi is None else "midi",
                "effects": settings.effects,
                "sample_rate": settings.sample_rate,
                "duration": settings.duration,
                "format": settings.format,
            },
            "soundfonts": {
                split: {font.name: {"family": font.family, "digest": font.digest} for font in fonts}
                for split, fonts in self.soundfonts.items()
            },
            "versions": _versions(effects=settings.effects),
            "songs": {
                split: {t.source.name: t.source.digest for t in self.tracks if t.split == split} for split in SPLITS
            },
            "tracks": {
                t.name: {"split": t.split, "song": t.source.name, "rendering": t.rendering} for t in self.tracks
            },
        }
        return {**content, "fingerprint": fingerprint(content)}


def _versions(*, effects: bool) -> dict[str, str]:
    """Name the versions of what turns the plan into bytes."""
    from importlib.metadata import version

    import soundfile

    from hiersep.render.synth import library

    names = ("numpy", "scipy", "pyloudnorm", "mido", "pretty_midi", *(["pedalboard"] if effects else []))
    packages = {name: version(name) for name in names}
    return {"fluidsynth": library().version, "libsndfile": soundfile.__libsndfile_version__, **packages}


def apportion(total: int, shares: tuple[float, ...]) -> list[int]:
    """Deal out `total` things by shares: each share above zero gets one at least, where there are enough.

    Example:
        >>> apportion(20, (0.8, 0.1, 0.1)), apportion(4, (0.8, 0.1, 0.1)), apportion(1, (0.5, 0.3, 0.2))
        ([16, 2, 2], [2, 1, 1], [1, 0, 0])
    """
    wanted = [index for index, share in enumerate(shares) if share > 0]
    wanted = sorted(wanted, key=lambda index: -shares[index])[:total]
    counts = [int(index in wanted) for index in range(len(shares))]
    for _ in range(total - len(wanted)):
        lacking = max(range(len(shares)), key=lambda index: shares[index] * total - counts[index])
        counts[lacking] += 1
    return counts


def _midi_sources(folder: Path, settings: RenderSettings, rng: np.random.Generator) -> list[SongSource]:
    """Draw as many readable MIDI files as there are tracks, or all of them."""
    files = find_midi(folder)
    sources: list[SongSource] = []
    for index in rng.permutation(len(files)):
        path = files[int(index)]
        try:
            song = read_midi(path).cut(settings.duration)
            if not song.parts:
                raise DataError(f"{path}: expected notes in its first {settings.duration:g} s, got none")
        except DataError as error:
            warnings.warn(f"{error}; left out", HiersepWarning, stacklevel=2)
            continue
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        sources.append(SongSource(path.relative_to(folder).as_posix(), len(sources), path.resolve(), digest))
        if len(sources) == settings.tracks:
            break
    if not sources:
        raise DataError(f"{folder}: none of its {len(files)} MIDI files can be used; give General MIDI files")
    return sources


def make_plan(settings: RenderSettings) -> Plan:
    """Choose soundfonts and songs, and deal the songs to splits and tracks.

    Raises:
        DataError: If a soundfont or the MIDI files cannot be used, there are fewer songs than splits, or no soundfont
            is left beside those held out.
        HiersepError: If FluidSynth is not installed, or effects are wanted and pedalboard is not.
    """
    if settings.effects:
        load_pedalboard()
    heard, held_out = hold_out(settings.soundfonts, settings.test_soundfonts)
    if settings.midi is None:
        sources = [SongSource(f"composed/{number:05d}", number) for number in range(settings.tracks)]
    else:
        sources = _midi_sources(Path(settings.midi), settings, np.random.default_rng([settings.seed, 0, 0]))
    tracks_of = apportion(settings.tracks, settings.splits)
    songs_of = apportion(len(sources), settings.splits)
    empty = [split for split, tracks, songs in zip(SPLITS, tracks_of, songs_of, strict=True) if tracks and not songs]
    if empty:
        raise DataError(
            f"{settings.midi}: {len(sources)} usable MIDI file(s) leave no song for {' and '.join(empty)}, and a song "
            "is never in two splits; give more files, or --splits 1/0/0"
        )
    tracks: list[TrackPlan] = []
    for split, n_tracks, n_songs in zip(SPLITS, tracks_of, songs_of, strict=True):
        songs, sources = sources[:n_songs], sources[n_songs:]
        for index in range(n_tracks):
            name = f"Track{len(tracks) + 1:05d}"
            tracks.append(TrackPlan(name, split, songs[index % len(songs)], index // len(songs)))
    return Plan(settings, {TRAIN: heard, VALIDATION: heard, TEST: held_out}, tuple(tracks))
