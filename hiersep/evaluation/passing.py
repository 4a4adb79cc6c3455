"""How worker processes come by the separator: from files, or by a name, and never from a pickle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hiersep.errors import ConfigError
from hiersep.models import checkpoint
from hiersep.models.foreign import ForeignSeparator
from hiersep.models.joint import JointSeparator
from hiersep.models.loading import load_separator

if TYPE_CHECKING:
    from pathlib import Path

    from hiersep.models.separator import Separator


@dataclass(frozen=True)
class Source:
    """Where a separator can be loaded from again.

    Attributes:
        names: Checkpoints, or the name of a foreign model.
        constraint: Across several networks; None where they are not joined.
        key: The separator's.
    """

    names: tuple[str, ...]
    constraint: Literal["none", "max"] | None
    key: str | None

    def load(self) -> Separator:
        """Load it.

        Raises:
            ConfigError: If it is another now.
        """
        if self.constraint is None:
            separator = load_separator(self.names[0])
        else:
            networks = [checkpoint.from_pretrained(name) for name in self.names]
            separator = JointSeparator(networks, constraint=self.constraint)
        if separator.key != self.key:
            raise ConfigError(
                f"{', '.join(self.names)}: expected the weights that are scored, got others; changed weights of a "
                "foreign model are scored with jobs 1"
            )
        return separator


def refuse_to_pass(separator: Separator) -> None:
    """Refuse several processes where they could not load the separator.

    Raises:
        ConfigError: If it is a foreign model that was not loaded by its name.
    """
    if isinstance(separator, ForeignSeparator) and separator.name is None:
        raise ConfigError(
            "jobs: expected 1, as other processes cannot load a foreign model that has no name, got more; "
            "name one that is loaded by its name (demucs:htdemucs), or say 1"
        )


def pass_on(separator: Separator, folder: Path) -> Source:
    """Put down what `Source.load` reads, unless it lies there.

    Args:
        separator: The separator.
        folder: Of this separator alone.

    Raises:
        ConfigError: As `refuse_to_pass`.
    """
    refuse_to_pass(separator)
    if isinstance(separator, ForeignSeparator):
        return Source((str(separator.name),), None, separator.key)
    networks: list[Any] = list(separator.models) if isinstance(separator, JointSeparator) else [separator]
    paths = [folder / f"model-{number}.safetensors" for number in range(len(networks))]
    for network, path in zip(networks, paths, strict=True):
        if not path.is_file():
            checkpoint.save(network, path)
    constraint = separator.constraint.kind if isinstance(separator, JointSeparator) else None
    return Source(tuple(map(str, paths)), constraint, separator.key)
