"""Make a dataclass of a mapping, checking every value against its type hint.

Hints may be str, bool, int, float, a Literal of texts and integers, another dataclass, a list of these, and unions of
these.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Literal

from hiersep.errors import ConfigError, near_miss

# Key -> value and the place that it came from.
Entries = dict[str, tuple[Any, str]]


def expect(condition: bool, name: str, expected: str, value: object) -> None:
    """Refuse a value that is out of its range.

    Args:
        condition: Whether the value will do.
        name: Of the setting.
        expected: What would do, in words.
        value: What came.

    Raises:
        ConfigError: If the condition does not hold.
    """
    if not condition:
        raise ConfigError(f"{name}: expected {expected}, got {value!r}")


def build(cls: type[Any], entries: Entries, section: str = "") -> Any:
    """Make a dataclass of entries; what is not named keeps its default.

    Args:
        cls: The dataclass.
        entries: Values by field name, each with the place that a message shall name.
        section: What the fields stand under, for messages.

    Raises:
        ConfigError: If a key is unknown, or a value has the wrong type; also what the dataclass itself raises.
    """
    hints = typing.get_type_hints(cls)
    values = {}
    for key, (value, place) in entries.items():
        if key not in hints:
            where = f" in '{section}'" if section else ""
            raise ConfigError(f"{place}: unknown key '{key}'{where}{near_miss(key, hints)}")
        values[key] = _typed(value, hints[key], f"{place}: {key}" if place != key else key)
    return cls(**values)


def _typed(value: Any, expected: Any, place: str) -> Any:
    """Check a value against a type hint; an integer will do for a float."""
    origin = typing.get_origin(expected)
    if origin is typing.Union or origin is types.UnionType:
        for choice in typing.get_args(expected):
            if _fits(value, choice):
                return _typed(value, choice, place)
        raise ConfigError(f"{place}: expected {_in_words(expected)}, got {value!r}")
    if not _fits(value, expected):
        texts = [choice for choice in typing.get_args(expected) if isinstance(choice, str)]
        hint = near_miss(value, texts) if origin is Literal else ""
        raise ConfigError(f"{place}: expected {_in_words(expected)}, got {value!r}{hint}")
    if expected is float:
        try:
            return float(value)
        except OverflowError:
            raise ConfigError(f"{place}: expected a number, got one of more than 300 digits") from None
    if origin is list:
        (item,) = typing.get_args(expected)
        return [_typed(v, item, place) for v in value]
    if isinstance(expected, type) and dataclasses.is_dataclass(expected) and isinstance(value, dict):
        return _nested(value, expected, place)
    return value


def _nested(value: dict[str, Any], cls: type[Any], place: str) -> Any:
    needed = {field.name: field.default is dataclasses.MISSING for field in dataclasses.fields(cls)}
    missing = [name for name, is_needed in needed.items() if is_needed and name not in value]
    if missing and value.keys() <= needed.keys():
        raise ConfigError(f"{place}: expected the key {', '.join(missing)}, got {dict(value)!r}")
    return build(cls, {key: (v, place) for key, v in value.items()})


def _fits(value: Any, expected: Any) -> bool:
    origin = typing.get_origin(expected)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in typing.get_args(expected))
    if origin is list:
        (item,) = typing.get_args(expected)
        return isinstance(value, list) and bool(value) and all(_fits(v, item) for v in value)
    if expected is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if expected is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if dataclasses.is_dataclass(expected):
        return isinstance(value, dict | expected)
    return isinstance(value, expected)


def _in_words(expected: Any) -> str:
    origin = typing.get_origin(expected)
    if origin is Literal:
        return " or ".join(map(str, typing.get_args(expected)))
    if origin is list:
        return f"a list, each {_in_words(*typing.get_args(expected))}"
    if origin is typing.Union or origin is types.UnionType:
        return " or ".join(_in_words(choice) for choice in typing.get_args(expected))
    if dataclasses.is_dataclass(expected):
        return f"a mapping ({', '.join(field.name for field in dataclasses.fields(expected))})"
    names = {str: "text", bool: "true or false", int: "a whole number", float: "a number", type(None): "null"}
    return names[expected]
