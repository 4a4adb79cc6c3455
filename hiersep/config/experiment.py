"""A whole experiment, read from files and the words of a command line."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiersep import strict_yaml
from hiersep.config.network import NetworkConfig, QueryConfig, SeparatorConfig
from hiersep.config.sections import (
    DataConfig,
    EvaluationConfig,
    RenderConfig,
    Section,
    SongsConfig,
    SpectrumConfig,
)
from hiersep.config.training import TrainingConfig
from hiersep.errors import ConfigError, near_miss, refuse_later
from hiersep.typed import Entries, build, expect

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

FORMAT = 1  # of the files; one that does not say is of the first
_MAX_BASES = 10
_COMPILED = ("tdconvnet", "bandsplit")


@dataclass(frozen=True)
class ExperimentConfig:
    """All of an experiment."""

    render: RenderConfig = field(default_factory=RenderConfig)
    data: DataConfig = field(default_factory=DataConfig)
    separator: SeparatorConfig = field(default_factory=SeparatorConfig)
    spectrum: SpectrumConfig = field(default_factory=SpectrumConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    query: QueryConfig = field(default_factory=QueryConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    songs: SongsConfig = field(default_factory=SongsConfig)

    def __post_init__(self) -> None:
        expect(
            self.network.mask == "real" or self.training.loss != "phase_sensitive_l1",
            "training.loss",
            "a loss on waveforms, as network.mask is complex and the paper's target is real",
            self.training.loss,
        )
        expect(
            self.network.mask == "real" or self.separator.kind != "tree",
            "network.mask",
            "real for a tree, where masks are shares of their parent's",
            self.network.mask,
        )
        expect(
            self.data.target is not None or self.separator.kind != "path",
            "data.target",
            "a node, or nodes of one path, for a separator of the kind path",
            self.data.target,
        )
        expect(
            self.data.salient is None or self.separator.kind != "query",
            "data.salient",
            "null, as queries name what sounds",
            self.data.salient,
        )
        expect(
            not self.training.compile or self.network.backbone in _COMPILED,
            "training.compile",
            f"false for the backbone {self.network.backbone}, as torch compiles no LSTM (but {', '.join(_COMPILED)})",
            self.training.compile,
        )
        expect(
            self.separator.kind != "tree" or self.network.constraint == "max",
            "network.constraint",
            "max for a tree, whose parents hold their children by themselves",
            self.network.constraint,
        )
        bins = self.spectrum.n_fft // 2 + 1
        expected = f"at most the {bins} bins of spectrum.n_fft {self.spectrum.n_fft}"
        expect((self.network.num_bands or 0) <= bins, "network.num_bands", expected, self.network.num_bands)
        if self.training.devices != "auto":
            self.check_shares(self.training.devices * self.training.nodes)

    def check_shares(self, processes: int) -> None:
        """Refuse sizes that cannot be shared equally between the processes of a training.

        Args:
            processes: How many there are, over all machines.

        Raises:
            ConfigError: If a batch, or an epoch, is no multiple of it, there are fewer clips to validate, or a stage
                holds the trunk: DistributedDataParallel learns once which parameters have gradients.
        """
        expected = f"a multiple of the {processes} processes that train (training.devices times training.nodes)"
        for name, size in (("training.batch_size", self.training.batch_size), ("data.num_train", self.data.num_train)):
            expect(size % processes == 0, name, expected, size)
        expected = f"a clip for each of {processes} processes"
        expect(self.data.num_validation >= processes, "data.num_validation", expected, self.data.num_validation)
        expected = f"true, as {processes} processes train together"
        for stage in self.training.stages or ():
            expect(stage.trunk or processes == 1, "training.stages: trunk", expected, stage.trunk)

    def to_dict(self) -> dict[str, Any]:
        """Sections as plain mappings."""
        return dataclasses.asdict(self)


SECTIONS: dict[str, type[Section]] = {
    "render": RenderConfig,
    "data": DataConfig,
    "separator": SeparatorConfig,
    "spectrum": SpectrumConfig,
    "network": NetworkConfig,
    "query": QueryConfig,
    "training": TrainingConfig,
    "evaluation": EvaluationConfig,
    "songs": SongsConfig,
}


def load_experiment(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Read an experiment.

    A *profile* is a file of settings that differ by machine, data or size and not by experiment: its values hold over
    those of the file that the experiment's bases begin with, and under all that the experiment itself says.

    Args:
        path: YAML file.
        overrides: Words of a command line: ``--section.key value`` or ``--section.key=value``; and ``--profile file``,
            of which a later one holds over an earlier one.

    Raises:
        ConfigError: If a file cannot be read, a key is unknown, or a value has the wrong type or range.
    """
    changed, profiles = _parse_words(overrides)
    *bases, own = _read_layers(Path(path), [])
    profile = [layer for name in profiles for layer in _read_layers(Path(name), [])]
    entries: Entries = {}
    for layer in (*bases[:1], *profile, *bases[1:], own, changed):
        entries.update(layer)
    grouped: dict[str, Entries] = {name: {} for name in SECTIONS}
    for dotted, entry in entries.items():
        section, key = dotted.split(".", 1)
        grouped[section][key] = entry
    return ExperimentConfig(**{name: build(cls, grouped[name], name) for name, cls in SECTIONS.items()})


def as_yaml(config: ExperimentConfig) -> str:
    """Write an experiment with every value spelled out, as `load_experiment` reads it."""
    return strict_yaml.dump({"format": FORMAT, **config.to_dict()})


def _read_layers(path: Path, seen: list[Path]) -> list[Entries]:
    """Read what a file says, and before it what each of its bases says, the first of them first."""
    content = strict_yaml.read(path)
    if path.resolve() in seen or len(seen) >= _MAX_BASES:
        raise ConfigError(f"{path}: 'base' leads in a circle, or through more than {_MAX_BASES} files")
    if not isinstance(content, dict):
        got = "a list" if isinstance(content, list) else repr(content)
        raise ConfigError(f"{path}: expected sections ({', '.join(SECTIONS)}), got {got}")
    below: list[Entries] = []
    entries: Entries = {}
    for name, section in content.items():
        place = strict_yaml.place(str(path), content, name)
        if name == "base":
            if not isinstance(section, str):
                raise ConfigError(f"{place}: expected the name of a file as 'base', got {section!r}")
            below = _read_layers(path.parent / section, [*seen, path.resolve()])
        elif name == "format":
            refuse_later(section, FORMAT, place, ConfigError)
            if type(section) is not int or section < 1:
                raise ConfigError(f"{place}: expected a format number from 1 to {FORMAT}, got {section!r}")
        elif name not in SECTIONS:
            raise ConfigError(f"{place}: unknown section '{name}'{near_miss(name, SECTIONS)}")
        elif not isinstance(section, dict):
            raise ConfigError(f"{place}: expected settings under '{name}', got {section!r}")
        else:
            for key, value in section.items():
                entries[f"{name}.{key}"] = (value, strict_yaml.place(str(path), section, key))
    return [*below, entries]


def _parse_words(words: Sequence[str]) -> tuple[Entries, list[str]]:
    """Take the words of a command line apart: settings, and profiles."""
    entries: Entries = {}
    profiles: list[str] = []
    remaining = list(words)
    while remaining:
        option = remaining.pop(0)
        if not option.startswith("--"):
            raise ConfigError(f"unexpected argument '{option}'; a setting is changed by --section.key VALUE")
        name, has_value, value = option[2:].partition("=")
        if name != "profile" and ("." not in name or name.split(".", 1)[0] not in SECTIONS):
            known = [f"{section}.{f.name}" for section, cls in SECTIONS.items() for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
            known.append("profile")
            raise ConfigError(f"unknown option '--{name}'{near_miss(name, known)}")
        if not has_value:
            if not remaining:
                raise ConfigError(f"--{name}: expected a value after it, got none")
            value = remaining.pop(0)
        if name == "profile":
            profiles.append(value)
            continue
        # As the value of a key: on its own, `null` would be an empty document.
        entries[name] = (strict_yaml.load(f"value: {value}", f"--{name}")["value"], f"--{name}")
    return entries, profiles
