"""Labels: how the attributes of a stem lead to a node.

A `Block` is what one data set (or any, if unnamed) says: the stem attributes to look at, in order, the
values by which each node claims, and the values to ignore. Programs are numbers and ranges, ``filename``
is a glob, everything else is compared whole, without regard to case and outer spaces; a label that begins with
``*`` names every text that ends like it.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from hiersep.errors import HierarchyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PROGRAM, FILENAME = "program_num", "filename"
LAST_PROGRAM = 128  # General MIDI's 0-127, and Slakh's 128 for drums

_IGNORED = ""  # stands where a node's id would, for values under `ignore:`
_WHOLE_NUMBER = re.compile(r"([0-9]{1,9})(?:\.0)?")
_WILDCARD = re.compile(r"[*?\[]")


class Programs(NamedTuple):
    """A range of MIDI programs, from 0, both ends included."""

    low: int
    high: int

    @property
    def spelled(self) -> str | int:
        """The range as a file writes it."""
        return self.low if self.low == self.high else f"{self.low}-{self.high}"


Label: TypeAlias = str | Programs


def normal(text: object) -> str:
    """Bring a text to the form in which texts are compared.

    Example:
        >>> normal(" Acoustic Guitar (nylon) ")
        'acoustic guitar (nylon)'
    """
    return str(text).strip().casefold()


def keys(label: Label) -> tuple[int | str, ...]:
    """List what a label claims: every program of a range, or the one text."""
    if isinstance(label, Programs):
        return tuple(range(label.low, label.high + 1))
    return (normal(label),)


def spell(labels: tuple[Label, ...]) -> tuple[str | int, ...]:
    """Write labels as a file does."""
    return tuple(label.spelled if isinstance(label, Programs) else label for label in labels)


@dataclass(frozen=True)
class Block:
    """The labels of one data set.

    Attributes:
        dataset: Its name; None fits any.
        match: Stem attributes that the labels name, tried in this order.
        labels: Pairs of node id and labels, in node order.
        ignore: Labels of stems that are expected to belong to no node.
    """

    dataset: str | None
    match: tuple[str, ...]
    labels: tuple[tuple[str, tuple[Label, ...]], ...]
    ignore: tuple[Label, ...] = ()

    def claim(self, attributes: Mapping[str, Any]) -> str | None:
        """Find the node that claims a stem; None if none does.

        The first attribute by which a label names the stem decides, be it a node's or one to ignore.

        Raises:
            HierarchyError: If patterns of two nodes fit the same file name.
        """
        return self._owner(attributes) or None

    def ignores(self, attributes: Mapping[str, Any]) -> bool:
        """Tell whether a stem is named under ``ignore:``."""
        return self._owner(attributes) == _IGNORED

    def spelled(self, id: str) -> tuple[str | int, ...]:
        """Write the labels of a node as a file does."""
        return spell(self._by_node.get(id, ()))

    def moved(self, owners: Mapping[str, str], order: Sequence[str]) -> Block:
        """Hand the labels of each node to its owner.

        Args:
            owners: Owner of each node's labels; those of other nodes go. Labels add up in its order.
            order: Ids of the owners, in node order.
        """
        labels = dict(self.labels)
        merged: dict[str, tuple[Label, ...]] = {}
        for id, owner in owners.items():
            merged[owner] = merged.get(owner, ()) + labels.get(id, ())
        return replace(self, labels=tuple((id, merged[id]) for id in order if merged[id]))

    @cached_property
    def _by_node(self) -> dict[str, tuple[Label, ...]]:
        return dict(self.labels)

    @cached_property
    def _owners(self) -> dict[int | str, str]:
        everyone = (*self.labels, (_IGNORED, self.ignore))
        return {key: id for id, labels in everyone for label in labels for key in keys(label)}

    @cached_property
    def _patterns(self) -> tuple[tuple[str, str], ...]:
        texts = ((key, id) for key, id in self._owners.items() if isinstance(key, str))
        return tuple((key, id) for key, id in texts if _WILDCARD.search(key))

    def _owner(self, attributes: Mapping[str, Any]) -> str | None:
        for attribute in self.match:
            value = attributes.get(attribute)
            if value is None:
                continue
            if attribute == PROGRAM:
                owner = self._owners.get(_program(value))
            elif attribute == FILENAME:
                name = normal(re.split(r"[/\\]", str(value))[-1])
                owner = self._text_owner((name, name.rpartition(".")[0] or name), fnmatch.fnmatchcase, "file name")
            else:
                owner = self._text_owner((normal(value),), _ends_like, attribute)
            if owner is not None:
                return owner
        return None

    def _text_owner(self, names: Sequence[str], fits: Callable[[str, str], bool], what: str) -> str | None:
        for name in names:  # a text written out goes before a pattern
            if name in self._owners:
                return self._owners[name]
        fitting = [(p, id) for p, id in self._patterns if any(fits(name, p) for name in names)]
        if len({id for _, id in fitting}) > 1:
            (first, one), (second, other) = (
                fitting[0],
                next(f for f in fitting if f[1] != fitting[0][1]),
            )
            raise HierarchyError(
                f"{what} '{names[0]}' fits two patterns, '{first}' of '{one or 'ignore'}' and '{second}' "
                f"of '{other or 'ignore'}'; make the patterns narrower"
            )
        return fitting[0][1] if fitting else None


def _ends_like(text: str, pattern: str) -> bool:
    return pattern.startswith("*") and text.endswith(pattern[1:])


def _program(value: object) -> int:
    """Read a stem's program; -1, which no label names, for what is none."""
    found = _WHOLE_NUMBER.fullmatch(str(value).strip())
    return int(found[1]) if found else -1
