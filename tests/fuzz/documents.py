"""Documents of mappings, lists and scalars: spoiled, and written as JSON or YAML, duplicate keys and all."""

from __future__ import annotations

import copy
import json
import re

from hypothesis import strategies as st


class Raw(str):
    """Text that stands in the file as it is: what no value of Python's is written as."""

    __slots__ = ()


class Pairs(list):
    """A mapping in which a key may come twice."""


def nested(depth: int, brackets: str = "[]") -> Raw:
    """Brackets in brackets; in YAML as in JSON."""
    return Raw(brackets[0] * depth + brackets[1] * depth)


ODD_NUMBERS = [
    *(0, 1, -1, 2, 3, 128, 129, 10**9, 2**31, 2**32, 2**63 - 1, 2**63, -(2**63), 10**18, 10**40, 10**400, 10**1000),
    *(0.0, -0.0, 0.5, 1e-3, 5e-324, 1e308, -1e308, 2.0**63, 3.7),
    *(float("nan"), float("inf"), float("-inf")),
]
ODD_TEXTS = [
    *("", " ", "a", "A b", "no", "null", "12:30", "1e-3", "24-25", "~", "*", "?[", "[", "%", "mixture", "guitar"),
    *(
        "é",
        "音",
        "a\u0301",
        "\u202egnp",
        "\ufeff",
        "\x00",
        "a\x00b",
        "\x1b[31m",
        "a\nb\r\nc",
        "\x85",
        "\u2028",
        "\ud800",
    ),
    *(
        "/etc/passwd",
        "../../x",
        "..",
        ".",
        "//",
        "a/b",
        "\\\\host\\x",
        "~root",
        "-i",
        "concat:a",
        "file:///etc",
        "%s{0}",
    ),
    *("x" * 255, "y" * 256, "z" * 5000, "ab" * 2000, "\u0661\u0662", "__class__", "{{7*7}}", "<script>"),
]
ODD_RAWS = [
    *map(
        Raw, ("1e400", "-1e400", "1E+999999", "NaN", "Infinity", "-Infinity", "9" * 400, "9" * 5000, "-" + "8" * 4400)
    ),
    *map(
        Raw, ("0x1F", "0x" + "f" * 5000, "0b1" + "0" * 9000, "010", "1_000", "12:30:45", "1:" * 200 + "1", "2001-01-01")
    ),
    *map(Raw, ("2001-99-99", "2001-01-01 00:00:00 -99:99", "0001-01-01T00:00:00 +23:00", "9999-12-31t23:59:59-23:59")),
    *map(
        Raw, ("&a 1", "*a", "&a [*a]", "&a {b: *a}", "!!bool x", '!!int ""', '!!float ""', "!!timestamp x", "!!set [1]")
    ),
    *map(
        Raw,
        ("!!binary @", "!!omap [1]", "!!pairs [[1]]", "!!python/object:os.system {}", "!x y", "!!str 1", "!!null x"),
    ),
    *map(
        Raw,
        (
            "{<<: 1}",
            "{<<: [{a: 1}]}",
            "? [a]",
            "- - -",
            "{",
            "}",
            "]",
            "'",
            '"',
            "\t",
            "|",
            ">",
            "#",
            ":",
            "%TAG",
            "---",
        ),
    ),
    *map(
        Raw,
        ("...", "\x00", "\ufeff", '"\\ud800"', '"\\u0000"', '"\\x1b[2J"', "{? {a: 1} : 2}", "[1, 2", "1,2,,", "// x"),
    ),
    *(nested(depth) for depth in (2, 99, 101, 450, 1000, 10_000)),
    *(nested(depth, "{}") for depth in (2, 101)),
    *(Raw('{"a": ' * depth + "1" + "}" * depth) for depth in (2, 99, 101, 450, 1000)),
]
ODD_VALUES = [None, True, False, [], {}, [[]], [None], {"": None}, {"a": {"b": 1}}, *ODD_NUMBERS, *ODD_TEXTS]
TEXTS = st.text(max_size=6) | st.sampled_from(ODD_TEXTS)
ODD = (
    st.sampled_from(ODD_VALUES)
    | st.sampled_from(ODD_RAWS)
    | st.integers(-300, 300)
    | st.floats(width=32)
    | st.text(max_size=4)
)
PLAIN_ODD = st.sampled_from(ODD_VALUES) | st.integers(-300, 300) | st.floats(width=32)


def places(value: object) -> list[tuple]:
    """Every path into a document, the empty one first."""
    found: list[tuple] = [()]
    for path in found:
        inner = at(value, path)
        if isinstance(inner, dict):
            found.extend((*path, key) for key in inner)
        elif isinstance(inner, list) and not isinstance(inner, Pairs):
            found.extend((*path, number) for number in range(len(inner)))
    return found


def at(value: object, path: tuple) -> object:
    for key in path:
        value = value[key]
    return value


@st.composite
def spoiled(draw, documents: st.SearchStrategy, odd: st.SearchStrategy = ODD, most: int = 3) -> object:
    """A document of which up to `most` places were changed; now and then none."""
    document = copy.deepcopy(draw(documents))
    for _ in range(draw(st.sampled_from((0, 1, 1, 1, 2, most)))):
        paths = places(document)
        path = paths[draw(st.integers(0, len(paths) - 1))]
        if not path:
            if draw(st.integers(0, 9)) == 0:
                document = copy.deepcopy(draw(odd))
            continue
        _change(draw, document, path, paths, odd)
    return document


def _change(draw, document: object, path: tuple, paths: list[tuple], odd: st.SearchStrategy) -> None:
    above, key = at(document, path[:-1]), path[-1]
    value = above[key]
    kind = draw(
        st.sampled_from(("replace", "replace", "replace", "drop", "rename", "other", "wrap", "add", "double", "bend"))
    )
    if kind == "drop":
        del above[key]
    elif kind == "rename" and isinstance(above, dict):
        above[draw(TEXTS)] = above.pop(key)
    elif kind == "other":
        above[key] = copy.deepcopy(at(document, paths[draw(st.integers(0, len(paths) - 1))]))
    elif kind == "wrap":
        above[key] = draw(st.sampled_from(([value], {"a": value}, [[value]], {str(key): value})))
    elif kind == "add" and isinstance(value, dict):
        value[draw(TEXTS)] = copy.deepcopy(draw(odd))
    elif kind == "add" and isinstance(value, list) and not isinstance(value, Pairs):
        value.insert(draw(st.integers(0, len(value))), copy.deepcopy(draw(odd)))
    elif kind == "double" and isinstance(value, dict) and value and odd is not PLAIN_ODD:
        pairs = Pairs(value.items())
        above[key] = Pairs([*pairs, pairs[draw(st.integers(0, len(pairs) - 1))]])
    elif kind == "double" and isinstance(value, list) and not isinstance(value, Pairs):
        above[key] = value * draw(st.sampled_from((0, 2, 3, 40)))
    elif kind == "bend" and isinstance(value, (int, float)) and not isinstance(value, bool):
        factor = draw(st.sampled_from((-1, 0, 2, 0.5, 1000, 10**9, 10**300)))
        above[key] = value // 2 if isinstance(value, int) and factor == 0.5 and abs(value) > 10**300 else value * factor
    elif kind == "bend" and isinstance(value, str):
        cut = draw(st.integers(0, min(len(value), 20)))
        above[key] = type(value)(value[:cut] + draw(TEXTS) + value[cut:])
    else:
        above[key] = copy.deepcopy(draw(odd))  # or another case would find it changed


def as_json(value: object) -> str:
    """JSON; what is `Raw` may make it something else."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, (dict, Pairs)):
        pairs = value.items() if isinstance(value, dict) else value
        return "{" + ", ".join(f"{json.dumps(str(key))}: {as_json(inner)}" for key, inner in pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(as_json, value)) + "]"
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value) if abs(value) > 10**4000 else str(value)
    return json.dumps(value)


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_ ./-]*[A-Za-z0-9]")


def as_yaml(value: object, indent: int = 0) -> str:
    """YAML in blocks, texts without quotes where they can do without."""
    lead = "\n" + "  " * indent
    if isinstance(value, (dict, Pairs)) and value:
        pairs = value.items() if isinstance(value, dict) else value
        return "".join(f"{lead}{as_yaml(str(key))}: {as_yaml(inner, indent + 1)}" for key, inner in pairs)
    if isinstance(value, list) and value:
        return "".join(f"{lead}- {as_yaml(inner, indent + 1)}" for inner in value)
    if isinstance(value, str) and not isinstance(value, Raw) and _PLAIN.fullmatch(value):
        return value
    return as_json(value)


@st.composite
def written(draw, documents: st.SearchStrategy, *, yaml: bool = True) -> bytes:
    """A document as bytes: JSON, or YAML in either style; rarely in another encoding."""
    document = draw(documents)
    text = as_yaml(document).lstrip("\n") if yaml and draw(st.booleans()) else as_json(document)
    encoding = draw(st.sampled_from(("utf-8",) * 27 + ("utf-8-sig", "utf-16", "latin-1")))
    return text.encode(encoding, "surrogatepass" if encoding.startswith("utf-8") else "replace")
