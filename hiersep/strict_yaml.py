"""Read YAML and JSON without guesses, and know the line of everything read.

PyYAML keeps the last of two equal keys, reads ``no`` as false, ``12:30`` as 750 and ``1e-3`` as
text. Here each of these is an error that names the line. Only PyYAML's parser is used: its
constructors, which is where tags, anchors and merge keys act, never see the text. Mappings and
lists come back as `YamlDict` and `YamlList`, which remember where their entries stood, so that
later checks can name the line too. Input is bounded: 1 MiB, 100 levels of nesting, one document.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hiersep.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from hiersep.errors import HiersepError

MAX_BYTES = 1 << 20
MAX_DEPTH = 100

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_TOO_LARGE = 10**18
SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which no file can hold
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")
_CONSTANTS = {"": None, "~": None, "null": None, "true": True, "false": False}
_TRAPS = (
    (
        re.compile(r"y|n|yes|no|on|off|true|false|null", re.IGNORECASE),
        "is a truth value to some readers and text to others; write true or false, or quote it",
    ),
    (
        re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?"),
        "is a number in base 60 to YAML 1.1; quote it, or write the number",
    ),
    (
        re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt\s].*)?"),
        "is a date to YAML 1.1; quote it",
    ),
    (
        re.compile(r"[-+]?0([0-9_]+|[xob][0-9a-fA-F_]+)"),
        "is octal to some readers and decimal to others; write a plain decimal, or quote it",
    ),
    (
        re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE),
        "is not a finite number; write one, or quote it",
    ),
    (re.compile(r"<<"), "is a merge key, which is not allowed; write the keys out"),
)
_NUMBER_HINT = (
    "is a number to some readers and text to others; "
    "write digits, a point and a signed exponent, such as 1.0e-3, or quote it"
)
_JSON_STRING_OR_TAB = re.compile(r'"(?:\\.|[^"\\])*"|\t', re.DOTALL)


class YamlDict(dict[str, Any]):
    """A mapping that remembers the line (from 1) of its start and of each key."""

    def __init__(self, line: int | None = None) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int | None] = {}

    def add(self, key: str, value: Any, line: int | None) -> None:
        """Set `key`, which stood at `line`."""
        self[key] = value
        self.lines[key] = line


class YamlList(list[Any]):
    """A list that remembers the line (from 1) of its start and of each item."""

    def __init__(self, line: int | None = None) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int | None] = []

    def add(self, value: Any, line: int | None) -> None:
        """Append `value`, which stood at `line`."""
        self.append(value)
        self.lines.append(line)


def line_of(container: object, key: str | int | None = None) -> int | None:
    """Tell the line of an entry, or of the container itself; None for what no file held.

    Example:
        >>> line_of(load("{a: 1, b: 2}", "here.yaml"), "b")
        1
    """
    if key is None or not isinstance(container, (YamlDict, YamlList)):
        return getattr(container, "line", None)
    if isinstance(container, YamlDict):
        return container.lines.get(str(key))
    return container.lines[int(key)]


def place(source: str, container: object = None, key: str | int | None = None) -> str:
    """Name a place as error messages do: ``file:line``, or ``file`` where no line is known."""
    line = line_of(container, key)
    return source if line is None else f"{source}:{line}"


def read(path: str | os.PathLike[str], *, error: type[HiersepError] = ConfigError) -> Any:
    """Load a file: JSON where the name ends in ``.json``, else YAML.

    Raises:
        HiersepError: Of type `error`, if the file cannot be read or breaks a rule of `load`.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as problem:  # the second of a name that no file can have
        raise error(f"{path}: cannot be read ({getattr(problem, 'strerror', problem)}); check the path") from None
    return load(content, str(path), error=error, as_json=path.suffix.lower() == ".json")


def load(
    text: str | bytes,
    source: str,
    *,
    error: type[HiersepError] = ConfigError,
    as_json: bool = False,
) -> Any:
    """Read one document, strictly.

    Args:
        text: The document; bytes are UTF-8.
        source: The file's name, for messages.
        error: Type of the error to raise.
        as_json: Read JSON instead of YAML.

    Returns:
        `YamlDict`, `YamlList`, str, int, float, bool or None.

    Raises:
        HiersepError: Of type `error`; one line, beginning with ``source:line:``.

    Example:
        >>> load("levels: [mixture, family]", "here.yaml")
        {'levels': ['mixture', 'family']}
        >>> load("vocals: no", "here.yaml")
        Traceback (most recent call last):
        hiersep.errors.ConfigError: here.yaml:1: 'no' is a truth value to some ...
    """
    text = _decode(text, source, error)
    reader = _Reader(text, source, error, as_json=as_json)
    if as_json:
        reader.check_json()
        text = _JSON_STRING_OR_TAB.sub(lambda m: " " if m[0] == "\t" else m[0], text)
    else:
        reader.check_tabs()
    try:
        return reader.document(yaml.parse(text, Loader=_PARSER))
    except yaml.YAMLError:
        return reader.document_again(text)


def dump(value: Any) -> str:
    """Write YAML that `load` reads back as it was, lists of scalars in one line.

    Example:
        >>> print(dump({"levels": ["mixture", "no"], "rate": 1e-05}), end="")
        levels: [mixture, "no"]
        rate: 1.0e-05
    """
    return yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=False,
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )


def _decode(text: str | bytes, source: str, error: type[HiersepError]) -> str:
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(content) > MAX_BYTES:
        raise error(f"{source}: expected at most {MAX_BYTES} bytes, got more; split the file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise error(f"{source}:{line}: expected UTF-8 text, got other bytes; save the file as UTF-8") from None


class _Reader:
    """Turn PyYAML's events into values, refusing what is ambiguous."""

    def __init__(self, text: str, source: str, error: type[HiersepError], *, as_json: bool) -> None:
        self.text, self.source, self.error, self.as_json = text, source, error, as_json
        self.events: Iterator[Any] = iter(())

    def fail(self, line: int, what: str) -> HiersepError:
        return self.error(f"{self.source}:{line}: {what}")

    def check_json(self) -> None:
        try:
            json.loads(self.text)
        except json.JSONDecodeError as problem:
            detail = problem.msg[0].lower() + problem.msg[1:]
            raise self.fail(problem.lineno, f"not JSON ({detail}, column {problem.colno})") from None
        except RecursionError:
            raise self.error(f"{self.source}: nested deeper than {MAX_DEPTH} levels") from None
        except ValueError as problem:  # Python refuses to convert numbers of thousands of digits
            raise self.error(f"{self.source}: not JSON ({problem})") from None

    def check_tabs(self) -> None:
        for number, line in enumerate(self.text.splitlines(), start=1):
            if "\t" in line[: len(line) - len(line.lstrip())]:
                raise self.fail(number, "a tab in the indentation; indent with spaces")

    def syntax_error(self, problem: yaml.YAMLError) -> HiersepError:
        mark = problem.problem_mark if isinstance(problem, yaml.MarkedYAMLError) else None
        if mark is not None:
            detail = " ".join(str(problem.problem).split())  # type: ignore[attr-defined]
            return self.fail(mark.line + 1, f"not YAML ({detail}, column {mark.column + 1})")
        position = int(getattr(problem, "position", 0))
        line = self.text.count("\n", 0, position) + 1
        return self.fail(line, "a character that YAML does not allow; write it as an escape in quotes")

    def document_again(self, text: str) -> Any:
        """Read with PyYAML's own parser, whose messages are the same on every machine."""
        try:
            return self.document(yaml.parse(text, Loader=yaml.SafeLoader))
        except yaml.YAMLError as problem:
            raise self.syntax_error(problem) from None

    def document(self, events: Iterator[Any]) -> Any:
        self.events = events
        value = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if value is not None:
                    line = _line(event)
                    raise self.fail(line, "expected one document, got a second one; remove it")
                value = self.value(next(events), depth=0)
        if value is None:
            raise self.fail(1, "expected a document, got an empty one")
        return value

    def value(self, event: Any, depth: int) -> Any:
        line = _line(event)
        if depth > MAX_DEPTH:
            raise self.fail(line, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self.fail(line, "anchors (&) and aliases (*) are not allowed; write the value out")
        if event.tag is not None:
            raise self.fail(line, f"tag '{event.tag}' is not allowed; write a plain value")
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(line, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(line, depth)
        return self.scalar(event, line)

    def mapping(self, line: int, depth: int) -> YamlDict:
        values = YamlDict(line)
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.value(event, depth + 1)
            line = _line(event)
            if not isinstance(key, str):
                got = "a collection" if isinstance(key, (YamlDict, YamlList)) else repr(key)
                raise self.fail(line, f"expected a name as key, got {got}; quote it")
            if key in values:
                raise self.fail(line, f"key '{key}' appears twice (also line {values.lines[key]})")
            values.add(key, self.value(next(self.events), depth + 1), line)
        return values

    def sequence(self, line: int, depth: int) -> YamlList:
        items = YamlList(line)
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.add(self.value(event, depth + 1), _line(event))
        return items

    def scalar(self, event: Any, line: int) -> Any:
        plain = event.implicit[0]
        if not self.as_json:
            value, trap = _resolve(event.value) if plain else (event.value, "")
        else:  # json.loads, not PyYAML, says what a JSON scalar means
            text = self.text[event.start_mark.index : event.end_mark.index]
            if not text:  # what PyYAML puts behind a key that is too long for it
                raise self.fail(line, "a key of more than 1024 characters; shorten it")
            value, trap = json.loads(text), ""
        if isinstance(value, str) and SURROGATE.search(value):
            try:  # two escapes that make one character, as in JSON
                value = value.encode("utf-16", "surrogatepass").decode("utf-16")
            except UnicodeDecodeError:
                trap = "holds half a character (a surrogate), which no file can; write the whole one"
        if isinstance(value, float) and not math.isfinite(value):
            trap = "is not a finite number; write one"
        if isinstance(value, int) and abs(value) >= _TOO_LARGE:
            trap = "is a number of more than 18 digits; quote it"
        if trap:
            raise self.fail(line, f"'{event.value}' {trap}")
        return value


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _resolve(text: str) -> tuple[Any, str]:
    """Tell what an unquoted scalar means, or why nobody can tell."""
    if text in _CONSTANTS:
        return _CONSTANTS[text], ""
    if _INTEGER.fullmatch(text):
        return int(text), ""
    if _FLOAT.fullmatch(text):
        return float(text), ""
    for pattern, hint in _TRAPS:
        if pattern.fullmatch(text):
            return None, hint
    if text[0] in "+-.0123456789":
        try:
            float(text)
        except ValueError:
            return text, ""
        return None, _NUMBER_HINT
    return text, ""


class _Dumper(yaml.SafeDumper):
    """Quote every text that would not be read back as that text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_sequence(
        self, tag: str, sequence: Iterable[Any], flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        node = super().represent_sequence(tag, sequence, flow_style)
        node.flow_style = all(isinstance(item, yaml.ScalarNode) for item in node.value)
        return node


def _represent_text(dumper: _Dumper, text: str) -> yaml.Node:
    plain = text.isprintable() and _resolve(text) == (text, "")
    style = None if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(YamlDict, yaml.SafeDumper.represent_dict)
_Dumper.add_representer(YamlList, yaml.SafeDumper.represent_list)
_Dumper.add_representer(tuple, yaml.SafeDumper.represent_list)
