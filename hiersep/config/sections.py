"""The sections of an experiment, but for the network and its training: what to render, learn from and score."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hiersep.typed import build, expect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self


class Section:
    """What the sections share: made of a mapping, checked when made."""

    @classmethod
    def of(cls, content: Self | Mapping[str, Any] | None) -> Self:
        """Make the section of itself, of a mapping, or of nothing but defaults.

        Raises:
            ConfigError: If a key is unknown, or a value has the wrong type or range.
        """
        if isinstance(content, cls):
            return content
        return build(cls, {key: (value, key) for key, value in dict(content or {}).items()})  # type: ignore[arg-type,no-any-return]

    def to_dict(self) -> dict[str, Any]:
        """Settings as a plain mapping."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]


@dataclass(frozen=True)
class RenderConfig(Section):
    """What to render into ``data.folder``, for recipes that bring no data; `hiersep.render` says what each means."""

    tracks: int = 100
    seed: int = 0
    splits: list[float] = field(default_factory=lambda: [0.8, 0.1, 0.1])
    midi: str | None = None
    soundfonts: list[str] | None = None
    test_soundfonts: list[str] | None = None
    effects: bool = False
    duration: float = 60.0
    format: Literal["flac", "wav"] = "flac"


@dataclass(frozen=True)
class DataConfig(Section):
    """What to learn from.

    Attributes:
        folder: A data set that `open_dataset` recognises, or several, of which each mixture takes one.
        splits: A published table of splits that the data set's reader knows; null takes the folders as they are.
        weights: How often each of several data sets is drawn; null: all alike.
        hierarchy: Shipped name or file.
        target: A node, of which the whole path below the root is learned; or a list of nodes; None: all nodes.
            With queries: what may be asked for; None: every leaf.
        salient: Nodes of which one must sound in every clip; default: the target.
        duration: Length of a clip in seconds.
        query_duration: Length of a query in seconds; None: as long as a clip.
        channels: 1 for mono, 2 for stereo, whose channels are separated one by one.
        sample_rate: In Hz.
        mixing: How mixtures of several songs are made: every part from another song, or by a file of distributions.
        incoherent: Share of the training mixtures that are made so; null: none if `mixing` is ``coherent``, else all.
        gain_db: Stems of a training mixture are turned up or down by at most this, at random.
        augment: Share of the stems of training mixtures that are augmented.
        silent: Share of the clips in which the target is silent.
        alone: Of the other clips, share in which the target has no salient sibling; null: as it comes.
        balanced: Draw a target first, then a track, then a window.
        remove: What is taken from training tracks: ``all`` labels or those of the ``leaf``; null: nothing.
        remove_fraction: Share of the tracks from which it is taken.
        strict: Make unclaimed stems, and whatever is mended or left out, an error.
        num_train: Mixtures of a training epoch.
        num_validation: Mixtures of the validation set, fixed.
    """

    folder: str | list[str] = "data"
    splits: str | list[str | None] | None = None
    weights: list[float] | None = None
    hierarchy: str = "slakh_ismir2020"
    target: str | list[str] | None = "clean_guitars"
    salient: list[str] | None = None
    duration: float = 10.0
    query_duration: float | None = None
    channels: int = 1
    sample_rate: int = 16000
    mixing: str = "coherent"
    incoherent: float | None = None
    gain_db: float = 0.0
    augment: float = 0.0
    silent: float = 0.0
    alone: float | None = None
    balanced: bool = False
    remove: Literal["all", "leaf"] | None = None
    remove_fraction: float = 0.5
    strict: bool = False
    num_train: int = 10000
    num_validation: int = 5000

    def __post_init__(self) -> None:
        expect(0 < self.duration <= 600, "data.duration", "more than 0, at most 600 seconds", self.duration)
        longest = self.duration if self.query_duration is None else self.query_duration
        expect(0 < longest <= 600, "data.query_duration", "more than 0, at most 600 seconds", longest)
        expect(self.channels in (1, 2), "data.channels", "1 or 2", self.channels)
        expect(4000 <= self.sample_rate <= 192000, "data.sample_rate", "4000 to 192000 Hz", self.sample_rate)
        for name in ("incoherent", "augment", "silent", "alone", "remove_fraction"):
            expect(0 <= (getattr(self, name) or 0) <= 1, f"data.{name}", "a share in [0, 1]", getattr(self, name))
        expect(0 <= self.gain_db <= 60, "data.gain_db", "0 to 60 dB", self.gain_db)
        folders = 1 if isinstance(self.folder, str) else len(self.folder)
        for name in ("weights", "splits"):
            given = getattr(self, name)
            expected = f"one for each of the {folders} in data.folder"
            expect(not isinstance(given, list) or len(given) == folders, f"data.{name}", expected, given)
        for name in ("num_train", "num_validation"):
            expect(getattr(self, name) > 0, f"data.{name}", "a positive number of mixtures", getattr(self, name))

    @property
    def sets(self) -> dict[str, str | None]:
        """The data sets: the folder of each, and its table of splits."""
        folders = [self.folder] if isinstance(self.folder, str) else self.folder
        tables = self.splits if isinstance(self.splits, list) else [self.splits] * len(folders)
        return dict(zip(folders, tables, strict=True))

    def result_folder(self, out: str, data: str) -> Path:
        """Where results of one of the data sets go: to `out`, or where there are several, to a folder of its name."""
        return Path(out) if len(self.sets) == 1 else Path(out, Path(data).name)


@dataclass(frozen=True)
class SpectrumConfig(Section):
    """Sizes of the STFT, in samples; the window is the square root of Hann's."""

    n_fft: int = 1024
    hop_length: int = 512

    def __post_init__(self) -> None:
        expect(16 <= self.n_fft <= 65536, "spectrum.n_fft", "16 to 65536 samples", self.n_fft)
        expect(
            0 < self.hop_length <= self.n_fft // 2,
            "spectrum.hop_length",
            "1 to half of n_fft samples",
            self.hop_length,
        )


@dataclass(frozen=True)
class EvaluationConfig(Section):
    """What to score.

    Attributes:
        split: Where the clips come from.
        splits: A published table of splits that the data set's reader knows; null takes the folders as they are.
        clips: A list of clips that an evaluation wrote; null: they are chosen by the seed. A list says itself how long
            its clips are, and their queries.
        salient: Nodes of which one must sound in every clip that the seed chooses, so that networks of different nodes
            are scored on the same clips; null: of a path the finest, of a tree all that are finest, of a query network
            what is asked for.
        num_test: Clips at most.
        num_static: Training clips that the static masks are fitted on.
        static_data: Another data set, on whose split ``train`` they are fitted; null: the one that is scored.
        duration: Length of a clip in seconds.
        query_duration: Length of a query in seconds; null: as long as a clip.
        channels: 1 for mono, 2 for stereo, whose channels are separated one by one and scored together.
        batch_size: Clips that go through the network at once.
        seed: Fixes the clips.
    """

    split: str = "test"
    splits: str | None = None
    clips: str | None = None
    salient: list[str] | None = None
    num_test: int = 3000
    num_static: int = 200
    static_data: str | None = None
    duration: float = 10.0
    query_duration: float | None = None
    channels: int = 1
    batch_size: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("num_test", "num_static", "batch_size"):
            expect(getattr(self, name) > 0, f"evaluation.{name}", "a positive number of clips", getattr(self, name))
        for name in ("duration", "query_duration"):
            length = getattr(self, name)
            expect(
                length is None or 0 < length <= 600, f"evaluation.{name}", "more than 0, at most 600 seconds", length
            )
        expect(self.channels in (1, 2), "evaluation.channels", "1 or 2", self.channels)
        expect(self.seed >= 0, "evaluation.seed", "0 or more", self.seed)


@dataclass(frozen=True)
class SongsConfig(Section):
    """How whole songs are scored.

    Attributes:
        split: Where the songs come from.
        splits: A published table of splits that the data set's reader knows; null takes the folders as they are.
        levels: Names of the levels that are scored, each by itself; null: all that the network estimates a node of.
        bss_eval: Score by museval too, which takes minutes for a song of four nodes, and far more for many.
    """

    split: str = "test"
    splits: str | None = None
    levels: list[str] | None = None
    bss_eval: bool = True
