"""Find soundfonts and list what is in them.

`pretty_midi` carries one, so there always is a default; Debian's packages put theirs under ``/usr/share``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hiersep.errors import DataError, near_miss

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

DEBIAN_FOLDERS = ("/usr/share/sounds/sf2", "/usr/share/sounds/sf3", "/usr/share/soundfonts")
SUFFIXES = (".sf2", ".sf3")


@dataclass(frozen=True)
class Soundfont:
    """A soundfont and its presets.

    Attributes:
        path: The file.
        presets: (bank, preset number) -> the preset's name.
        digest: Of the file's content: another file of the same name gives other audio.
    """

    path: Path
    presets: Mapping[tuple[int, int], str]
    digest: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def kits(self) -> list[tuple[int, int]]:
        """The drum kits: (bank, preset number)."""
        return sorted(key for key in self.presets if key[0] == 128)


def find_soundfonts() -> list[Path]:
    """List the soundfonts at hand: pretty_midi's first, then those that Debian's packages installed."""
    found = []
    spec = find_spec("pretty_midi")
    if spec is not None and spec.origin is not None:
        found += sorted(Path(spec.origin).parent.glob("*.sf2"))
    for folder in DEBIAN_FOLDERS:
        found += sorted(path for path in Path(folder).glob("*") if path.suffix in SUFFIXES and path.is_file())
    return found


def resolve(names: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Turn paths, or names of soundfonts that `find_soundfonts` lists, into paths.

    Args:
        names: What the user gave. Empty: the soundfont that pretty_midi carries, the same on every machine.

    Raises:
        DataError: If one is not there.
    """
    found = find_soundfonts()
    if not names:
        if not found:
            raise DataError("no soundfont found; install pretty_midi, or name one with --soundfont FILE")
        return found[:1]
    by_name = {known: path for path in reversed(found) for known in (path.name, path.stem)}
    paths = []
    for name in names:
        path = Path(name)
        if not path.is_file():
            known = by_name.get(str(name))
            if known is None:
                raise DataError(
                    f"{name}: no such soundfont; give a .sf2 or .sf3 file, or one of "
                    f"{', '.join(dict.fromkeys(path.name for path in found))}{near_miss(name, by_name)}"
                )
            path = known
        if path not in paths:
            paths.append(path)
    return paths


@lru_cache(maxsize=32)
def open_soundfont(path: Path) -> Soundfont:
    """Read a soundfont's list of presets.

    Raises:
        DataError: If it is not a soundfont, or holds no preset.
        HiersepError: If FluidSynth is not installed.
    """
    from hiersep.render.synth import list_presets

    presets = list_presets(path)
    if not presets:
        raise DataError(f"{path}: expected a General MIDI soundfont, got one without presets; choose another file")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return Soundfont(path, presets, digest)
