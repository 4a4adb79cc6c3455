"""YAML's traps are errors with a line; what is plain reads as it is written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiersep import strict_yaml
from hiersep.errors import ConfigError, HierarchyError

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**17), 10**17),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=12),
    st.sampled_from(["no", "Yes", "12:30", "1e-3", "010", "0x1F", "2020-01-01", "<<", "~", "=", "- a", "\x85"]),
)
KEYS = st.one_of(st.text(st.characters(exclude_categories=("Cs",)), max_size=8), st.sampled_from(["no", "1", "<<"]))
VALUES = st.recursive(
    SCALARS,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(KEYS, below, max_size=3)),
    max_leaves=10,
)


@settings(max_examples=150)
@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=3))
def test_what_is_dumped_loads_as_it_was(value):
    assert strict_yaml.load(strict_yaml.dump(value), "f") == value


@settings(max_examples=150)
@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=3), st.sampled_from([None, 1, "\t"]))
def test_json_reads_as_the_json_module_reads_it(value, indent):
    text = json.dumps(value, indent=indent)
    assert strict_yaml.load(text, "f", as_json=True) == json.loads(text)


@settings(max_examples=300)
@given(st.text(st.sampled_from("ab:-[]{}, \n\t\"'#&*!|>%@1.e0~<?\\"), max_size=25), st.booleans())
def test_no_text_leads_to_another_error_than_ours(text, as_json):
    message = "f:"
    try:
        strict_yaml.load(text, "f", error=HierarchyError, as_json=as_json)
    except HierarchyError as error:
        message = str(error)
    assert message.startswith("f:")
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a", "a"),
        ("24-25", "24-25"),
        ("-7", -7),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.0e-3", 0.001),
        ("true", True),
        ("null", None),
        ('"no"', "no"),
        ("'12:30'", "12:30"),
        ("1.2.3", "1.2.3"),
        ("[]", []),
        ("{}", {}),
        ("x  # comment", "x"),
        ("|\n  two\n  lines", "two\nlines"),
    ],
)
def test_plain_values(text, value):
    assert strict_yaml.load(f"key: {text}", "f") == {"key": value}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        *((word, "is a truth value to some readers") for word in ("no", "Yes", "ON", "off", "y", "N")),
        *((word, "is a truth value to some readers") for word in ("True", "FALSE", "Null")),
        ("12:30", "is a number in base 60"),
        ("1:20:30.5", "is a number in base 60"),
        ("2020-01-31", "is a date"),
        ("2020-1-3 10:00:00", "is a date"),
        ("010", "is octal to some readers"),
        ("0x1F", "is octal to some readers"),
        ("0o17", "is octal to some readers"),
        ("0b11", "is octal to some readers"),
        ("1e-3", "is a number to some readers"),
        ("1.0e3", "is a number to some readers"),
        ("1_000", "is a number to some readers"),
        ("9" * 30, "is a number to some readers"),
        ("-inf", "is a number to some readers"),
        (".inf", "is not a finite number"),
        ("-.NaN", "is not a finite number"),
        ("9.0e+999", "is not a finite number"),
    ],
)
def test_traps(text, what):
    with pytest.raises(ConfigError) as error:
        strict_yaml.load(f"first: 1\nkey: [a,\n  {text}]", "conf.yml")
    assert str(error.value).startswith(f"conf.yml:3: '{text}' {what}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "f:3: key 'a' appears twice (also line 1)"),
        ("a: {b: 1,\n b: 2}", "f:2: key 'b' appears twice (also line 1)"),
        ("a: 1\n2: b", "f:2: expected a name as key, got 2; quote it"),
        ("? [a]\n: b", "f:1: expected a name as key, got a collection; quote it"),
        ("a: &x 1\nb: *x", "f:1: anchors (&) and aliases (*) are not allowed; write the value out"),
        ("<<: {a: 1}", "f:1: '<<' is a merge key, which is not allowed; write the keys out"),
        ("a: !!str 1", "f:1: tag 'tag:yaml.org,2002:str' is not allowed; write a plain value"),
        ("a: !x 1", "f:1: tag '!x' is not allowed; write a plain value"),
        ("a: 1\n---\nb: 2", "f:2: expected one document, got a second one; remove it"),
        ("", "f:1: expected a document, got an empty one"),
        ("---\n", "f:1: expected a document, got an empty one"),
        ("~", "f:1: expected a document, got an empty one"),
        ("a:\n\tb: 1", "f:2: a tab in the indentation; indent with spaces"),
        ("a: b\nc: \x07", "f:2: a character that YAML does not allow; write it as an escape in quotes"),
        ("a: [1", "f:1: not YAML (expected ',' or ']', but got '<stream end>', column 6)"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(ConfigError) as error:
        strict_yaml.load(text, "f")
    assert str(error.value) == message


@pytest.mark.parametrize("as_json", [False, True])
def test_two_escapes_of_a_character_are_one_and_half_of_it_is_refused(as_json):
    found = strict_yaml.load('{"a": "\\ud83c\\udfb8"}', "f", as_json=as_json)
    assert found == {"a": "\N{GUITAR}"}
    for half in ('{"a": "\\ud83c"}', '{"\\udfb8\\ud83c": 1}', '{"a": "x\\udfb8"}'):
        with pytest.raises(ConfigError, match=r"^f:1: .*holds half a character") as error:
            strict_yaml.load(half, "f", as_json=as_json)
        str(error.value).encode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n"a": 2}', "f:2: key 'a' appears twice (also line 1)"),
        ('{"a": 1e999}', "f:1: '1e999' is not a finite number; write one"),
        ('{"a": NaN}', "f:1: 'NaN' is not a finite number; write one"),
        ("a: 1", "f:1: not JSON (expecting value, column 1)"),
        ("[" * 5000, "f: nested deeper than 100 levels"),
        ("[" * 150 + "]" * 150, "f:1: nested deeper than 100 levels"),
        ("null", "f:1: expected a document, got an empty one"),
        ('{"b": 1,\n"' + "a" * 1100 + '": 1}', "f:2: a key of more than 1024 characters; shorten it"),
        ('[{"' + "a" * 1100 + '": {"c": 1}}]', "f:1: a key of more than 1024 characters; shorten it"),
        ('{"a": 1' + "0" * 18 + "}", "f:1: '1" + "0" * 18 + "' is a number of more than 18 digits; quote it"),
    ],
)
def test_what_is_refused_in_json(text, message):
    with pytest.raises(ConfigError) as error:
        strict_yaml.load(text, "f", as_json=True)
    assert str(error.value) == message


def test_input_is_bounded(tmp_path):
    with pytest.raises(ConfigError, match=r"^f: expected at most 1048576 bytes, got more"):
        strict_yaml.load("a: " + "x" * strict_yaml.MAX_BYTES, "f")
    with pytest.raises(ConfigError, match=r"^f:1: nested deeper than 100 levels"):
        strict_yaml.load("[" * 50_000, "f")
    big = tmp_path / "big.yaml"
    big.write_bytes(b"#" * (2 * strict_yaml.MAX_BYTES))
    with pytest.raises(HierarchyError, match="expected at most 1048576 bytes, got more"):
        strict_yaml.read(big, error=HierarchyError)


def test_files_are_utf8_with_or_without_a_mark(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes("\ufeffname: Flöte".encode())
    assert strict_yaml.read(path) == {"name": "Flöte"}
    path.write_bytes(b"name: x\ntitle: Fl\xf6te")
    with pytest.raises(ConfigError) as error:
        strict_yaml.read(path)
    assert str(error.value) == f"{path}:2: expected UTF-8 text, got other bytes; save the file as UTF-8"
    with pytest.raises(ConfigError) as error:
        strict_yaml.read(tmp_path)
    assert str(error.value) == f"{tmp_path}: cannot be read (Is a directory); check the path"


def test_every_entry_knows_its_line():
    loaded = strict_yaml.load("# head\na:\n  b: 1\n  c: [x,\n    z]\n", "f")
    assert strict_yaml.line_of(loaded) == 2
    assert strict_yaml.line_of(loaded, "a") == 2
    assert strict_yaml.line_of(loaded["a"], "c") == 4
    assert strict_yaml.line_of(loaded["a"]["c"], 1) == 5
    assert strict_yaml.place("f", loaded["a"], "b") == "f:3"
    assert strict_yaml.place("f", {"a": 1}, "a") == "f"
    assert strict_yaml.line_of(loaded, "missing") is None


def test_pyyamls_own_parser_reads_the_same(monkeypatch):
    text = "a: [1, 'é', \"\\u00e9\", {b: no}]"
    for wrong in (text, text.replace("no", "x")):
        outcomes = []
        for parser in (strict_yaml._PARSER, strict_yaml.yaml.SafeLoader):
            monkeypatch.setattr(strict_yaml, "_PARSER", parser)
            try:
                outcomes.append(strict_yaml.load(wrong, "f"))
            except ConfigError as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("text", ['{"a\\u001b[2J\\r\\ud800": 1, "a\\u001b[2J\\r\\ud800": 2}', "[" + "9" * 4000 + "]"])
def test_a_message_is_one_line_that_any_terminal_shows(text):
    with pytest.raises(ConfigError) as error:
        strict_yaml.load(text, "f", as_json=True)
    message = str(error.value)
    assert message.isprintable()
    assert len(message) < 2000
