"""What incoherent mixtures are drawn from: distributions as scaper writes them, global and by node.

A distribution is a list: ``["const", 3]``, ``["uniform", LOW, HIGH]``, ``["normal", MEAN, STD]``, ``["truncnorm",
MEAN, STD, LOW, HIGH]`` or ``["choose", [VALUE, ...]]``. Every setting has a range. What a distribution names must lie
in it; ``normal``, which has no ends, is cut to it, as scaper draws again until a value will do.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from hiersep import strict_yaml
from hiersep.errors import ConfigError, near_miss
from hiersep.typed import expect

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    import numpy as np

_FORMS = {
    "const": '["const", VALUE]',
    "uniform": '["uniform", LOW, HIGH], LOW not above HIGH',
    "normal": '["normal", MEAN, STD], STD more than 0',
    "truncnorm": '["truncnorm", MEAN, STD, LOW, HIGH], STD more than 0 and LOW below HIGH',
    "choose": '["choose", [VALUE, ...]]',
}


class _Setting(NamedTuple):
    """Range of a setting, both ends included, and whether it counts something."""

    low: float
    high: float
    unit: str
    whole: bool = False


_SETTINGS = {
    "gain": _Setting(-60.0, 60.0, "dB"),
    "snr": _Setting(-60.0, 60.0, "LU over ref_db"),
    "offset": _Setting(0.0, 600.0, "seconds"),
    "pitch_shift": _Setting(-24.0, 24.0, "semitones"),
    "time_stretch": _Setting(0.25, 4.0, "times the length"),
    "num_sources": _Setting(0.0, 64.0, "stems", whole=True),
}


@dataclass(frozen=True)
class Distribution:
    """What a value is drawn from.

    Attributes:
        kind: ``const``, ``uniform``, ``normal``, ``truncnorm`` or ``choose``.
        values: Its numbers, in scaper's order.
        low: Least value of the setting.
        high: Greatest value of the setting.
        whole: Only whole numbers are drawn: of ``uniform`` all alike, of the others the nearest.
    """

    kind: str
    values: tuple[float, ...]
    low: float = -math.inf
    high: float = math.inf
    whole: bool = False

    @property
    def support(self) -> tuple[float, float]:
        """Least and greatest value that can be drawn."""
        if self.kind == "normal":
            return self.low, self.high
        ends = self.values[2:] if self.kind == "truncnorm" else self.values
        return min(ends), max(ends)

    def draw(self, rng: np.random.Generator) -> float:
        """Draw a value; `rng` decides."""
        if self.kind in ("const", "choose"):
            return self.values[int(rng.integers(len(self.values)))]
        if self.kind == "uniform":
            low, high = self.values
            return float(rng.integers(round(low), round(high) + 1)) if self.whole else float(rng.uniform(low, high))
        value = self._draw_normal(rng)
        return float(round(value)) if self.whole else value

    def _draw_normal(self, rng: np.random.Generator) -> float:
        from scipy.stats import truncnorm

        mean, std = self.values[:2]
        low, high = self.support
        return float(truncnorm.rvs((low - mean) / std, (high - mean) / std, loc=mean, scale=std, random_state=rng))

    def to_list(self) -> list[Any]:
        """Write it as scaper does."""
        return [self.kind, list(self.values)] if self.kind == "choose" else [self.kind, *self.values]


def parse_distribution(value: object, place: str, name: str) -> Distribution:
    """Read and check a distribution.

    Args:
        value: As scaper writes it: a list or tuple.
        place: Where it stands, for messages.
        name: The setting that is drawn from it; says what range its values have.

    Raises:
        ConfigError: If it is no distribution, or can give what is out of range.
    """
    kind, *arguments = value if isinstance(value, list | tuple) and value else (None,)
    if not isinstance(kind, str) or kind not in _FORMS:
        raise ConfigError(
            f'{place}: expected a distribution such as ["uniform", LOW, HIGH] ({", ".join(_FORMS)}), '
            f"got {value!r}{near_miss(kind, _FORMS)}"
        )
    numbers = arguments[0] if kind == "choose" and len(arguments) == 1 else arguments
    if not isinstance(numbers, list | tuple) or not _well_formed(kind, numbers):
        raise ConfigError(f"{place}: expected {_FORMS[kind]}, got {value!r}")
    setting = _SETTINGS[name]
    found = Distribution(kind, tuple(map(float, numbers)), setting.low, setting.high, setting.whole)
    low, high = found.support
    whole = not setting.whole or kind not in ("const", "choose", "uniform") or all(v.is_integer() for v in found.values)
    expected = f"{'whole numbers of' if setting.whole else 'values in'} {setting.unit}"
    expect(
        setting.low <= low and high <= setting.high and whole,
        place,
        f"{expected} from {setting.low:g} to {setting.high:g}",
        value,
    )
    return found


def _well_formed(kind: str, numbers: list[Any] | tuple[Any, ...]) -> bool:
    count = {"const": 1, "uniform": 2, "normal": 2, "truncnorm": 4, "choose": max(1, len(numbers))}[kind]
    if len(numbers) != count or not all(
        isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers
    ):
        return False
    if kind == "uniform":
        return bool(numbers[0] <= numbers[1])
    if kind in ("normal", "truncnorm"):
        return bool(numbers[1] > 0 and (kind == "normal" or numbers[2] < numbers[3]))
    return True


@dataclass(frozen=True)
class NodeMixing:
    """What is drawn for the stems of a node; None: as it is in the data set.

    Attributes:
        gain: Decibels by which a stem is made louder.
        snr: Loudness of a stem's excerpt in LU over `MixingConfig.ref_db`, as scaper defines it; in place of `gain`.
        offset: Seconds from the mixture's start to the stem's; it sounds from there to the end.
        pitch_shift: Semitones.
        time_stretch: Factor on the length.
        num_sources: How many stems; None: as many as are salient in the song that lends its instrumentation.
    """

    gain: Distribution | None = None
    snr: Distribution | None = None
    offset: Distribution | None = None
    pitch_shift: Distribution | None = None
    time_stretch: Distribution | None = None
    num_sources: Distribution | None = None

    def __post_init__(self) -> None:
        if self.gain is not None and self.snr is not None:
            raise ConfigError("snr: expected either 'gain' or 'snr', got both; each says how loud a stem is")

    def distributions(self) -> Iterator[tuple[str, Distribution]]:
        """Yield the settings that are given, by name."""
        for name in _SETTINGS:
            if (found := getattr(self, name)) is not None:
                yield name, found


@dataclass(frozen=True)
class MixingConfig(NodeMixing):
    """How incoherent mixtures are drawn: for all stems, and for those of some nodes.

    What `nodes` says of a node holds for all stems below it as well, unless a finer node says something else.

    Attributes:
        nodes: Settings by node.
        augmentation: Share of the stems that are augmented, in [0, 1].
        ref_db: Loudness that `snr` is over, in LUFS.
    """

    nodes: Mapping[str, NodeMixing] = field(default_factory=dict)
    augmentation: float = 0.0
    ref_db: float = -20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        expect(0 <= self.augmentation <= 1, "augmentation", "a share in [0, 1]", self.augmentation)
        expect(-70 <= self.ref_db <= 0, "ref_db", "-70 to 0 LUFS", self.ref_db)

    @classmethod
    def of(cls, content: MixingConfig | Mapping[str, Any], source: str = "mixing") -> MixingConfig:
        """Make it of itself or of a mapping, checking everything.

        Args:
            content: Settings by name, distributions as scaper writes them; ``nodes`` holds a mapping per node.
            source: Where it came from, for messages.

        Raises:
            ConfigError: If a key is unknown, or a value has the wrong form or range.
        """
        if isinstance(content, MixingConfig):
            return content
        settings = _parse(cls, content, source, "")
        nodes = settings.get("nodes", {})
        if not isinstance(nodes, dict):
            raise ConfigError(f"{strict_yaml.place(source, content, 'nodes')}: nodes: expected nodes, got {nodes!r}")
        settings["nodes"] = {
            node: _make(NodeMixing, _parse(NodeMixing, value, source, f"nodes.{node}."), source)
            for node, value in nodes.items()
        }
        made: MixingConfig = _make(cls, settings, source)
        return made

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MixingConfig:
        """Read it from a YAML file.

        Raises:
            ConfigError: If the file cannot be read, a key is unknown, or a value has the wrong form or range.
        """
        return cls.of(strict_yaml.read(path), str(path))

    def to_dict(self) -> dict[str, Any]:
        """Write it as `of` takes it."""
        own = {name: found.to_list() for name, found in self.distributions()}
        nodes = {node: {k: d.to_list() for k, d in mixing.distributions()} for node, mixing in self.nodes.items()}
        return {**own, "augmentation": self.augmentation, "ref_db": self.ref_db, "nodes": nodes}


def _parse(cls: type[NodeMixing], content: object, source: str, prefix: str) -> dict[str, Any]:
    """Read settings; distributions are made, the others are left as they came."""
    if not isinstance(content, dict):
        where = f"{prefix.rstrip('.')}: " if prefix else ""
        raise ConfigError(f"{source}: {where}expected settings, got {content!r}")
    known = [f.name for f in dataclasses.fields(cls)]
    settings: dict[str, Any] = {}
    for key, value in content.items():
        place = strict_yaml.place(source, content, key)
        if key not in known:
            raise ConfigError(f"{place}: unknown key '{prefix}{key}'{near_miss(key, known)}")
        if key in _SETTINGS:
            settings[key] = parse_distribution(value, f"{place}: {prefix}{key}", key)
        elif key == "nodes":
            settings[key] = value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            settings[key] = float(value)
        else:
            raise ConfigError(f"{place}: {key}: expected a number, got {value!r}")
    return settings


def _make(cls: type[Any], settings: dict[str, Any], source: str) -> Any:
    try:
        return cls(**settings)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
