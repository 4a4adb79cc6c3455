"""Checks that every part of a hierarchy file needs, and its plain fields: name, levels, display."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from hiersep.errors import HierarchyError, near_miss, refuse_later
from hiersep.strict_yaml import MAX_DEPTH, place

if TYPE_CHECKING:
    from collections.abc import Collection

FORMAT = 1  # of the files; one that does not say is of the first
KEYS = ("format", "name", "levels", "tree", "display", "match", "labels", "ignore")
REQUIRED = ("name", "levels", "tree")
LONGEST = 100  # characters of a name: files are called by it, and most systems allow 255 bytes, the suffix included

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ID = re.compile(r"[a-z][a-z0-9_]*")


def fail(source: str, container: object, key: str | int | None, what: str) -> HierarchyError:
    """Make the error of an entry; it begins with its file and line."""
    return HierarchyError(f"{place(source, container, key)}: {what}")


def is_list(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Tell whether a value counts as a list: lists and, in a dict made by hand, tuples."""
    return isinstance(value, (list, tuple))


def describe(value: object) -> str:
    """Name what came instead of what was expected.

    Example:
        >>> describe(None), describe([1]), describe(12)
        ('nothing', 'a list', '12')
    """
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if is_list(value) else repr(value)


def snake_case(text: str) -> str:
    """Bring a name to ``snake_case``.

    Example:
        >>> snake_case("fx/processed sound"), snake_case("Clean Guitars")
        ('fx_processed_sound', 'clean_guitars')
    """
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def check_id(source: str, container: object, key: str | int | None, what: str, id: object) -> str:
    """Return `id` if it is one; `what` says of what (``node``, ``level``)."""
    if isinstance(id, str) and _ID.fullmatch(id):
        if len(id) > LONGEST:
            raise fail(source, container, key, f"{what} '{id[:20]}...': expected at most {LONGEST} characters")
        return id
    if not isinstance(id, str):
        raise fail(source, container, key, f"expected the id of a {what}, got {describe(id)}")
    better = snake_case(id)
    hint = f"; did you mean '{better}'?" if _ID.fullmatch(better) else ""
    expected = "expected snake_case (a-z, 0-9, _; a letter first)"
    raise fail(source, container, key, f"{what} '{id}': {expected}{hint}")


def check_keys(data: Mapping[str, Any], source: str, known: Collection[str]) -> None:
    """Refuse keys that nobody reads."""
    for key in data:
        if key not in known:
            hint = near_miss(key, known) or f"; keys are {', '.join(known)}"
            raise fail(source, data, key, f"unknown key '{key}'{hint}")


def read_format(data: Mapping[str, Any], source: str) -> None:
    """Read ``format``, which a file need not say: only 1 is known so far."""
    number = data.get("format", FORMAT)
    refuse_later(number, FORMAT, place(source, data, "format"), HierarchyError)
    if type(number) is not int or number < 1:
        raise fail(source, data, "format", f"expected a format number from 1 to {FORMAT}, got {describe(number)}")


def read_name(data: Mapping[str, Any], source: str) -> str:
    """Read ``name``."""
    name = data["name"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        expected = "expected a name (letters, digits, '.', '_', '-')"
        raise fail(source, data, "name", f"{expected}, got {describe(name)}")
    if len(name) > LONGEST:
        raise fail(source, data, "name", f"expected a name of at most {LONGEST} characters, got {len(name)}")
    return name


def read_levels(data: Mapping[str, Any], source: str) -> tuple[str, ...]:
    """Read ``levels``: at least two names, coarse to fine."""
    levels = data["levels"]
    if not is_list(levels) or len(levels) < 2:
        got = f"{len(levels)} in it" if is_list(levels) else describe(levels)
        raise fail(source, data, "levels", f"expected a list of two or more levels, got {got}")
    if len(levels) > MAX_DEPTH:
        raise fail(source, data, "levels", f"expected at most {MAX_DEPTH} levels, got {len(levels)}")
    for at, level in enumerate(levels):
        check_id(source, levels, at, "level", level)
        if level in levels[:at]:
            raise fail(source, levels, at, f"level '{level}' appears twice; names must be unique")
    return tuple(levels)


def read_display(data: Mapping[str, Any], source: str, ids: Collection[str]) -> dict[str, str]:
    """Read ``display``: a pretty name per node, for any of them."""
    display = data.get("display", {})
    if not isinstance(display, Mapping):
        raise fail(source, data, "display", f"expected a mapping, got {describe(display)}")
    for id, text in display.items():
        if id not in ids:
            hint = near_miss(id, ids)
            raise fail(source, display, id, f"display name of unknown node '{id}'{hint}")
        if not isinstance(text, str) or not text.strip() or not text.isprintable():
            expected = f"expected the display name of '{id}' as text in one line"
            raise fail(source, display, id, f"{expected}, got {describe(text)}")
    return dict(display)
