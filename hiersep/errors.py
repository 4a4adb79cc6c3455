"""The errors and the warning that hiersep raises.

Every error that a user can cause is a `HiersepError` whose message is one line: the place, what was expected,
what came, and what to do next. The specific types also inherit `ValueError`, so that a host library that
expects the built-in type catches them too.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


_LONGEST = 1500  # characters of a message
_LONGEST_WORD = 100  # that is compared with what is known, which takes time that grows with its square


def printable(text: object) -> str:
    r"""Show a stranger's text in one line: line breaks and a terminal's control characters become escapes.

    Example:
        >>> printable("a\nb")
        'a\\nb'
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))


class _OneLine(Exception):
    """Says what it has to say in one line that any terminal shows, whatever a file has put into it."""

    def __str__(self) -> str:
        text = printable(super().__str__())
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} [...] {text[-_LONGEST // 4 :]}"


class HiersepError(_OneLine):
    """Root of all errors that hiersep raises on purpose."""


class HierarchyError(HiersepError, ValueError):
    """A hierarchy file is malformed, or a node, level or label was asked for that it does not have."""


class DataError(HiersepError, ValueError):
    """Audio, a track or a data set cannot be used as it is."""


class ConfigError(HiersepError, ValueError):
    """A configuration has an unknown key, a wrong type or a contradiction."""


class CheckpointError(HiersepError, ValueError):
    """A checkpoint cannot be read, or is not what it was taken for."""


class HiersepWarning(_OneLine, UserWarning):
    """Something was mended, skipped or left out, and the work went on."""


def near_miss(word: object, known: Iterable[str]) -> str:
    """Suggest the known word closest to a mistyped one.

    Args:
        word: What came.
        known: The words that would have been right.

    Returns:
        ``"; did you mean 'x'?"`` to append to a message, or ``""`` where nothing is close.

    Example:
        >>> near_miss("guitr", ["guitar", "piano"])
        "; did you mean 'guitar'?"
    """
    if len(text := str(word)) > _LONGEST_WORD:
        return ""
    close = difflib.get_close_matches(text, [right for right in known if len(right) <= _LONGEST_WORD], n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def refuse_later(number: object, known: int, place: str, error: type[HiersepError]) -> None:
    """Refuse a format number that only a later version of hiersep can have written.

    Args:
        number: What the file says; anything but a number is the reader's business.
        known: The highest that this version reads.
        place: The file, for the message.
        error: What to raise.

    Raises:
        HiersepError: Of the kind given, if the number is higher.
    """
    if isinstance(number, int) and number > known:
        raise error(
            f"{place}: expected format {known} or lower, got {number}: written by a later version of hiersep; "
            "update hiersep to read it"
        )
