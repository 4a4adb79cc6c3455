"""Read ``match``, ``labels`` and ``ignore`` of a hierarchy file: at top, or one block per data set."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from hiersep.errors import HierarchyError, near_miss
from hiersep.hierarchy.fields import check_id, describe, fail, is_list
from hiersep.hierarchy.labels import LAST_PROGRAM, PROGRAM, Block, Label, Programs, keys, normal
from hiersep.strict_yaml import SURROGATE, line_of, place

MOST = 100  # data sets, and stem attributes to match: every one of them is looked at for every node, or stem
_RANGE = re.compile(r"([0-9]{1,9})\s*-\s*([0-9]{1,9})")


def read_blocks(data: Mapping[str, Any], source: str, ids: Collection[str]) -> tuple[Block, ...]:
    """Read the labels of every data set.

    Args:
        data: The whole document.
        source: Name of the file.
        ids: Ids of the nodes, in node order.

    Returns:
        No block, where nothing is labelled; one without a name; or one per data set.
    """
    labels = data.get("labels")
    if labels is None:
        for key in ("match", "ignore", "labels"):
            if key in data:
                raise fail(source, data, key, f"'{key}' says nothing without labels; add 'labels:'")
        return ()
    if not isinstance(labels, Mapping) or not labels:
        what = f"expected a mapping from nodes or data sets to labels, got {describe(labels or None)}"
        raise fail(source, data, "labels", what)
    if not any(isinstance(value, Mapping) for value in labels.values()):
        return (_BlockReader(None, data, labels, source, ids).block(),)
    for key in ("match", "ignore"):
        if key in data:
            what = f"'{key}' stands beside labels per data set; move it into each of them"
            raise fail(source, data, key, what)
    if len(labels) > MOST:
        raise fail(source, data, "labels", f"expected labels of at most {MOST} data sets, got {len(labels)}")
    return tuple(_read_named(labels, name, source, ids) for name in labels)


def _read_named(labels: Mapping[str, Any], name: str, source: str, ids: Collection[str]) -> Block:
    check_id(source, labels, name, "data set", name)
    fields = labels[name]
    if not isinstance(fields, Mapping):
        what = f"expected the labels of data set '{name}' as a mapping, got {describe(fields)}"
        raise fail(source, labels, name, what)
    return _BlockReader(name, fields, fields, source, ids).block()


class _BlockReader:
    """Read one block; `fields` holds ``match`` and ``ignore``, `labels` the nodes' labels."""

    def __init__(
        self,
        dataset: str | None,
        fields: Mapping[str, Any],
        labels: Mapping[str, Any],
        source: str,
        ids: Collection[str],
    ) -> None:
        self._dataset, self._fields, self._labels = dataset, fields, labels
        self._source, self._ids = source, ids
        self._match = self._read_match()
        self._seen: dict[int | str, tuple[str, int | None]] = {}

    def block(self) -> Block:
        own = ("match", "ignore") if self._fields is self._labels else ()
        found: dict[str, tuple[Label, ...]] = {}
        for id in self._labels:
            if id in own:
                continue
            if id not in self._ids:
                hint = near_miss(id, self._ids)
                raise fail(self._source, self._labels, id, f"label of unknown node '{id}'{hint}")
            found[id] = self._read_labels(self._labels, id, f"node '{id}'")
        ignore: tuple[Label, ...] = ()
        if "ignore" in self._fields:
            ignore = self._read_labels(self._fields, "ignore", "'ignore'")
        in_order = tuple((id, found[id]) for id in self._ids if id in found)
        return Block(self._dataset, self._match, in_order, ignore)

    def _read_match(self) -> tuple[str, ...]:
        if "match" not in self._fields:
            what = "labels need 'match', the stem attribute that they name, such as program_num"
            raise fail(self._source, self._labels, None, what)
        match = self._fields["match"]
        container: object
        key: str | int
        attributes = match if is_list(match) else [match]
        if len(attributes) > MOST:
            what = f"expected at most {MOST} stem attributes, got {len(attributes)}"
            raise fail(self._source, self._fields, "match", what)
        for at, attribute in enumerate(attributes):
            container, key = (match, at) if is_list(match) else (self._fields, "match")
            check_id(self._source, container, key, "stem attribute", attribute)
            if attribute in attributes[:at]:
                what = f"attribute '{attribute}' appears twice in 'match'"
                raise fail(self._source, container, key, what)
        if not attributes:
            what = "expected a stem attribute or a list of them, got an empty list"
            raise fail(self._source, self._fields, "match", what)
        return tuple(attributes)

    def _read_labels(self, container: Mapping[str, Any], key: str, owner: str) -> tuple[Label, ...]:
        value = container[key]
        if not is_list(value):
            return (self._read_label(container, key, value, owner),)
        if not value:
            raise fail(self._source, container, key, f"{owner} has an empty list of labels; remove it")
        return tuple(self._read_label(value, at, item, owner) for at, item in enumerate(value))

    def _read_label(self, container: object, key: str | int, value: object, owner: str) -> Label:
        label = self._parse(container, key, value, owner)
        for one in keys(label):
            if one in self._seen:
                other, line = self._seen[one]
                also = "" if line is None else f" (line {line})"
                what = f"label {one!r} of {owner} is already a label of {other}{also}"
                raise fail(self._source, container, key, what)
            self._seen[one] = (owner, line_of(container, key))
        return label

    def _parse(self, container: object, key: str | int, value: object, owner: str) -> Label:
        programs = PROGRAM in self._match
        at = place(self._source, container, key)
        if programs and isinstance(value, int) and not isinstance(value, bool):
            return _check_programs(Programs(value, value), at)
        if programs and isinstance(value, str) and (found := _RANGE.fullmatch(value.strip())):
            return _check_programs(Programs(int(found[1]), int(found[2])), at)
        hint = ""
        if self._match == (PROGRAM,):
            expected = "a program such as 24, a range such as 24-25, or a list of these"
        elif isinstance(value, str) and normal(value) and not SURROGATE.search(value):
            return value.strip()
        elif isinstance(value, str) and SURROGATE.search(value):
            expected, hint = "text", ", which holds half a character (a surrogate); write the whole one"
        else:
            expected = "text"
            hint = "; quote it" if isinstance(value, (int, float)) else ""
        what = f"{owner}: expected a label that is {expected}, got {describe(value)}{hint}"
        raise fail(self._source, container, key, what)


def _check_programs(programs: Programs, at: str) -> Programs:
    low, high = programs
    if low > high:
        raise HierarchyError(f"{at}: range {low}-{high} runs backwards; write {high}-{low}")
    if low < 0 or high > LAST_PROGRAM:
        got = programs.spelled
        raise HierarchyError(f"{at}: expected programs from 0 to {LAST_PROGRAM}, got {got}")
    return programs
