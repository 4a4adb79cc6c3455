"""Find soundfonts, list what is in them, and tell which derive from one another.

`pretty_midi` carries one, so there always is a default; Debian's packages put theirs under ``/usr/share``. A network
that is tested on a soundfont it has not heard must not have heard a relative either: a *family* is held out whole.
"""

from __future__ import annotations

import hashlib
import re
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
# Family -> what its members have in their names, or in their makers' credits ("based on Fluid (R3) SoundFont by ...").
FAMILIES = {"fluidr3": ("fluidr3", "musescoregeneral"), "timgm6mb": ("timgm6mb",), "opl3": ("opl3",)}
_HEADER_BYTES, _INFO_START = 65536, 24  # the texts come first, behind RIFF, size, sfbk, LIST, size, INFO


@dataclass(frozen=True)
class Soundfont:
    """A soundfont and its presets.

    Attributes:
        path: The file.
        presets: (bank, preset number) -> the preset's name.
        digest: Of the file's content: another file of the same name gives other audio.
        family: Equal for soundfonts that derive from one another; an unknown one is a family of its own.
    """

    path: Path
    presets: Mapping[tuple[int, int], str]
    digest: str
    family: str

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


def _read_info(path: Path) -> dict[bytes, bytes]:
    """Read the texts that head a soundfont, sf2 or sf3: ``INAM`` its name, ``IENG`` its makers, and others."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    texts, at = {}, _INFO_START
    while at + 8 <= len(head):
        size = int.from_bytes(head[at + 4 : at + 8], "little")
        texts[head[at : at + 4]] = head[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return texts


def _family(path: Path) -> str:
    """Tell a soundfont's family by what it says of itself and by its name; else it is called by its file."""
    info, stem = _read_info(path), path.resolve().stem
    said = b" ".join(info.get(key, b"") for key in (b"INAM", b"IENG")).decode("latin-1")
    compact = re.sub(r"[^a-z0-9]", "", f"{said} {stem}".lower())
    return next((name for name, marks in FAMILIES.items() if any(mark in compact for mark in marks)), stem.lower())


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
    return Soundfont(path, presets, digest, _family(path))


def hold_out(
    names: Sequence[str | os.PathLike[str]], test_names: Sequence[str | os.PathLike[str]]
) -> tuple[tuple[Soundfont, ...], tuple[Soundfont, ...]]:
    """Open soundfonts, each content once, and keep those for test apart from the others, by families.

    Args:
        names: What `resolve` takes.
        test_names: Likewise; their families are held out. Empty: none is.

    Returns:
        The soundfonts that are heard in training, and those that are heard in test.

    Raises:
        DataError: If one cannot be used, two have one name, or none is left for training.
    """
    fonts = {font.digest: font for font in map(open_soundfont, resolve(names))}
    named = {font.digest: font for font in map(open_soundfont, resolve(test_names))} if test_names else {}
    paths: dict[str, Path] = {}
    for font in {**fonts, **named}.values():
        if paths.setdefault(font.name, font.path) != font.path:
            other = paths[font.name]
            raise DataError(f"{font.path}: {other} has this name too, and another content; rename one of them")
    families = {font.family for font in named.values()}
    heard = tuple(font for font in fonts.values() if font.family not in families)
    if not heard:
        raise DataError(
            "soundfonts: expected one at least of another family than those held out for test "
            f"({', '.join(sorted(families))}), got {', '.join(font.name for font in fonts.values())}; "
            "name another with --soundfont"
        )
    held_out = named | {digest: font for digest, font in fonts.items() if font.family in families}
    return heard, tuple(held_out.values()) if named else heard
