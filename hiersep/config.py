"""Experiments as typed dataclasses, read from strict YAML.

A file has one mapping per section (``render``, ``data``, ``spectrum``, ``network``, ``training``, ``evaluation``);
``base:`` names another file, relative to this one, of which only the differences are written here. Command-line
overrides are dotted: ``--training.learning_rate 1.0e-3``. Every default stands here and nowhere else; an unknown
key, a wrong type and a value out of range are errors that name the place.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hiersep import strict_yaml
from hiersep.errors import ConfigError, near_miss
from hiersep.typed import Entries, build, expect

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

_MAX_BASES = 10


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
        folder: A data set that `open_dataset` recognises.
        hierarchy: Shipped name or file.
        target: A node, of which the whole path below the root is learned; or a list of nodes of one path.
        salient: Nodes of which one must sound in every clip; default: the target.
        duration: Length of a clip in seconds.
        sample_rate: In Hz.
        incoherent: Share of the training mixtures in which every part is played from another song.
        gain_db: Stems of a training mixture are turned up or down by at most this, at random.
        num_train: Mixtures of a training epoch.
        num_validation: Mixtures of the validation set, fixed.
    """

    folder: str = "data"
    hierarchy: str = "slakh_ismir2020"
    target: str | list[str] = "clean_guitars"
    salient: list[str] | None = None
    duration: float = 10.0
    sample_rate: int = 16000
    incoherent: float = 0.0
    gain_db: float = 0.0
    num_train: int = 10000
    num_validation: int = 5000

    def __post_init__(self) -> None:
        expect(0 < self.duration <= 600, "data.duration", "more than 0, at most 600 seconds", self.duration)
        expect(
            4000 <= self.sample_rate <= 192000,
            "data.sample_rate",
            "4000 to 192000 Hz",
            self.sample_rate,
        )
        expect(0 <= self.incoherent <= 1, "data.incoherent", "a share in [0, 1]", self.incoherent)
        expect(0 <= self.gain_db <= 60, "data.gain_db", "0 to 60 dB", self.gain_db)
        for name in ("num_train", "num_validation"):
            expect(
                getattr(self, name) > 0,
                f"data.{name}",
                "a positive number of mixtures",
                getattr(self, name),
            )


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
class NetworkConfig(Section):
    """The masking network; the defaults are the paper's.

    Attributes:
        hidden_size: LSTM units per direction.
        num_layers: LSTM layers.
        dropout: Probability between layers.
        skip: Lead each frame's features around the LSTM as well, as open-unmix does; learns faster on little data.
        constraint: ``max`` makes every level the running maximum of those below it.
    """

    hidden_size: int = 600
    num_layers: int = 4
    dropout: float = 0.3
    skip: bool = False
    constraint: Literal["none", "max"] = "max"

    def __post_init__(self) -> None:
        expect(
            0 < self.hidden_size <= 16384,
            "network.hidden_size",
            "1 to 16384 units",
            self.hidden_size,
        )
        expect(0 < self.num_layers <= 64, "network.num_layers", "1 to 64 layers", self.num_layers)
        expect(0 <= self.dropout < 1, "network.dropout", "a probability in [0, 1)", self.dropout)


@dataclass(frozen=True)
class TrainingConfig(Section):
    """How to learn; the defaults are the paper's.

    Attributes:
        loss: ``phase_sensitive_l1`` (the paper's) or ``negative_snr`` on waveforms.
        batch_size: Mixtures per step.
        max_epochs: Epochs at most.
        max_minutes: Wall-clock limit; None for none.
        learning_rate: Of Adam.
        schedule: ``plateau`` (the paper's) halves the learning rate when the validation loss stops falling; ``cosine``
            lets it fall to 0 over all epochs, for a training whose length is fixed beforehand.
        patience: Epochs without a better validation loss before ``plateau`` halves.
        clip_percentile: AutoClip's percentile of gradient norms.
        num_workers: Processes that make mixtures; 0 makes them in the training process.
        device: Lightning's accelerator: ``auto``, ``cpu``, ``gpu``, ``mps``.
        seed: Of all draws.
    """

    loss: Literal["phase_sensitive_l1", "negative_snr"] = "phase_sensitive_l1"
    batch_size: int = 25
    max_epochs: int = 100
    max_minutes: float | None = None
    learning_rate: float = 1e-4
    schedule: Literal["plateau", "cosine"] = "plateau"
    patience: int = 5
    clip_percentile: float = 10.0
    num_workers: int = 2
    device: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    seed: int = 588

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_epochs"):
            expect(
                getattr(self, name) > 0,
                f"training.{name}",
                "a positive number",
                getattr(self, name),
            )
        expect(
            0 < self.learning_rate < 1,
            "training.learning_rate",
            "between 0 and 1",
            self.learning_rate,
        )
        expect(self.patience >= 0, "training.patience", "0 or more epochs", self.patience)
        expect(
            0 < self.clip_percentile <= 100,
            "training.clip_percentile",
            "a percentile in (0, 100]",
            self.clip_percentile,
        )
        expect(
            0 <= self.num_workers <= 256,
            "training.num_workers",
            "0 to 256 processes",
            self.num_workers,
        )
        expect(self.seed >= 0, "training.seed", "0 or more", self.seed)
        expect(
            self.max_minutes is None or self.max_minutes > 0,
            "training.max_minutes",
            "more than 0",
            self.max_minutes,
        )


@dataclass(frozen=True)
class EvaluationConfig(Section):
    """What to score.

    Attributes:
        split: Where the clips come from.
        num_test: Clips at most.
        num_static: Training clips that the static masks are fitted on.
        duration: Length of a clip in seconds.
        seed: Fixes the clips.
    """

    split: str = "test"
    num_test: int = 3000
    num_static: int = 200
    duration: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("num_test", "num_static"):
            expect(
                getattr(self, name) > 0,
                f"evaluation.{name}",
                "a positive number of clips",
                getattr(self, name),
            )
        expect(0 < self.duration <= 600, "evaluation.duration", "more than 0, at most 600 seconds", self.duration)
        expect(self.seed >= 0, "evaluation.seed", "0 or more", self.seed)


@dataclass(frozen=True)
class ExperimentConfig:
    """All of an experiment."""

    render: RenderConfig = field(default_factory=RenderConfig)
    data: DataConfig = field(default_factory=DataConfig)
    spectrum: SpectrumConfig = field(default_factory=SpectrumConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def to_dict(self) -> dict[str, Any]:
        """Sections as plain mappings."""
        return dataclasses.asdict(self)


SECTIONS: dict[str, type[Section]] = {
    "render": RenderConfig,
    "data": DataConfig,
    "spectrum": SpectrumConfig,
    "network": NetworkConfig,
    "training": TrainingConfig,
    "evaluation": EvaluationConfig,
}


def load_experiment(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Read an experiment.

    Args:
        path: YAML file.
        overrides: Words of a command line: ``--section.key value`` or ``--section.key=value``.

    Raises:
        ConfigError: If a file cannot be read, a key is unknown, or a value has the wrong type or range.
    """
    entries = _read_entries(Path(path), [])
    entries.update(_parse_overrides(overrides))
    grouped: dict[str, Entries] = {name: {} for name in SECTIONS}
    for dotted, entry in entries.items():
        section, key = dotted.split(".", 1)
        grouped[section][key] = entry
    return ExperimentConfig(**{name: build(cls, grouped[name], name) for name, cls in SECTIONS.items()})


def as_yaml(config: ExperimentConfig) -> str:
    """Write an experiment with every value spelled out, as `load_experiment` reads it."""
    return strict_yaml.dump(config.to_dict())


def _read_entries(path: Path, seen: list[Path]) -> Entries:
    if path.resolve() in seen or len(seen) >= _MAX_BASES:
        raise ConfigError(f"{path}: 'base' leads in a circle, or through more than {_MAX_BASES} files")
    content = strict_yaml.read(path)
    if not isinstance(content, dict):
        got = "a list" if isinstance(content, list) else repr(content)
        raise ConfigError(f"{path}: expected sections ({', '.join(SECTIONS)}), got {got}")
    entries: Entries = {}
    for name, section in content.items():
        place = strict_yaml.place(str(path), content, name)
        if name == "base":
            if not isinstance(section, str):
                raise ConfigError(f"{place}: expected the name of a file as 'base', got {section!r}")
            entries = {**_read_entries(path.parent / section, [*seen, path.resolve()]), **entries}
        elif name not in SECTIONS:
            raise ConfigError(f"{place}: unknown section '{name}'{near_miss(name, SECTIONS)}")
        elif not isinstance(section, dict):
            raise ConfigError(f"{place}: expected settings under '{name}', got {section!r}")
        else:
            for key, value in section.items():
                entries[f"{name}.{key}"] = (value, strict_yaml.place(str(path), section, key))
    return entries


def _parse_overrides(words: Sequence[str]) -> Entries:
    entries: Entries = {}
    remaining = list(words)
    while remaining:
        option = remaining.pop(0)
        if not option.startswith("--"):
            raise ConfigError(f"unexpected argument '{option}'; a setting is changed by --section.key VALUE")
        name, has_value, value = option[2:].partition("=")
        if "." not in name or name.split(".", 1)[0] not in SECTIONS:
            known = [f"{section}.{f.name}" for section, cls in SECTIONS.items() for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
            raise ConfigError(f"unknown option '--{name}'{near_miss(name, known)}")
        if not has_value:
            if not remaining:
                raise ConfigError(f"--{name}: expected a value after it, got none")
            value = remaining.pop(0)
        # As the value of a key: on its own, `null` would be an empty document.
        entries[name] = (strict_yaml.load(f"value: {value}", f"--{name}")["value"], f"--{name}")
    return entries
