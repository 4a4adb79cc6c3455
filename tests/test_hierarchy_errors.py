"""Every way to get a hierarchy file wrong, and the one line that says so."""

from __future__ import annotations

import time

import pytest

from hiersep.errors import HierarchyError
from hiersep.hierarchy import Hierarchy

GOOD = """\
name: band
levels: [mixture, family, class]
tree:
  mixture:
    guitar: [clean, distorted]
    keys: [piano, organ]
match: program_num
labels:
  clean: 24-28
  distorted: [29, 30-31]
  piano: 0-5
  organ: 16-23
ignore: 120-127
"""

# (what was changed, by what, the message after "band.yaml")
MUTATIONS = [
    # --- the document
    ("name: band\n", "", ":1: missing key 'name'"),
    ("levels: [mixture, family, class]\n", "", ":1: missing key 'levels'"),
    ("labels:", "lables:", ":8: unknown key 'lables'; did you mean 'labels'?"),
    (
        "ignore: 120-127",
        "colour: red",
        ":13: unknown key 'colour'; keys are format, name, levels, tree, display, match, labels, ignore",
    ),
    ("name: band", "- band", ":2: not YAML (expected <block end>, but found '?', column 1)"),
    ("name: band", "name: band\nname: band2", ":2: key 'name' appears twice (also line 1)"),
    (
        "name: band",
        "name: my band",
        ":1: expected a name (letters, digits, '.', '_', '-'), got 'my band'",
    ),
    ("name: band", "name: 12", ":1: expected a name (letters, digits, '.', '_', '-'), got 12"),
    ("name: band", "name:", ":1: expected a name (letters, digits, '.', '_', '-'), got nothing"),
    # --- levels
    (
        "[mixture, family, class]",
        "mixture",
        ":2: expected a list of two or more levels, got 'mixture'",
    ),
    ("[mixture, family, class]", "[mixture]", ":2: expected a list of two or more levels, got 1 in it"),
    (
        "[mixture, family, class]",
        "[mixture, family,\n  family]",
        ":3: level 'family' appears twice; names must be unique",
    ),
    (
        "[mixture, family, class]",
        "[mixture, Family, class]",
        ":2: level 'Family': expected snake_case (a-z, 0-9, _; a letter first); did you mean 'family'?",
    ),
    ("[mixture, family, class]", "[mixture, 2, class]", ":2: expected the id of a level, got 2"),
    (
        "[mixture, family, class]",
        "[mixture, family]",
        ":5: node 'clean' stands at depth 2, deeper than the last level 'family' (1); add a level or move the node up",
    ),
    (
        "[mixture, family, class]",
        "[mixture, group, family, class]",
        ":2: no node stands at level 'class' (3); the deepest, 'clean', stands at 'family' (2)",
    ),
    # --- the tree
    (
        "    guitar: [clean, distorted]",
        "    guitar:",
        ":5: node 'guitar' has no children; write a leaf as a list item: [guitar]",
    ),
    (
        "[clean, distorted]",
        "[]",
        ":5: node 'guitar' has no children; write a leaf as a list item: [guitar]",
    ),
    (
        "[clean, distorted]",
        "clean",
        ":5: node 'guitar': expected a list or mapping of children, got 'clean'",
    ),
    ("[clean, distorted]", "[clean, 12]", ":5: expected the id of a node, got 12"),
    ("[clean, distorted]", "[clean, [distorted]]", ":5: expected the id of a node, got a list"),
    (
        "[piano, organ]",
        "[piano, organ, clean]",
        ":6: node 'clean' appears twice (also line 5); ids must be unique",
    ),
    (
        "[piano, organ]",
        "[piano, guitar]",
        ":6: node 'guitar' appears twice (also line 5); ids must be unique",
    ),
    (
        "[clean, distorted]",
        "[mixture, distorted]",
        ":5: node 'mixture' appears twice (also line 4); ids must be unique",
    ),
    ("    keys:", "    guitar:", ":6: key 'guitar' appears twice (also line 5)"),
    (
        "    keys:",
        "  keys:",
        ":6: 'keys' is a second root beside 'mixture' (line 4); put one node above",
    ),
    (
        "[clean, distorted]",
        "[Clean Guitar, distorted]",
        ":5: node 'Clean Guitar': expected snake_case (a-z, 0-9, _; a letter first); did you mean 'clean_guitar'?",
    ),
    (
        "[clean, distorted]",
        "[12_string, distorted]",
        ":5: node '12_string': expected snake_case (a-z, 0-9, _; a letter first)",
    ),
    (
        "[clean, distorted]",
        "[match, distorted]",
        ":5: node 'match': this word is a key of the labels; choose another id",
    ),
    # --- YAML's traps
    (
        "[clean, distorted]",
        "[no, distorted]",
        ":5: 'no' is a truth value to some readers and text to others; write true or false, or quote it",
    ),
    (
        "piano: 0-5",
        "piano: 12:30",
        ":11: '12:30' is a number in base 60 to YAML 1.1; quote it, or write the number",
    ),
    (
        "piano: 0-5",
        "piano: 1e-3",
        ":11: '1e-3' is a number to some readers and text to others; "
        "write digits, a point and a signed exponent, such as 1.0e-3, or quote it",
    ),
    (
        "piano: 0-5",
        "piano: 010",
        ":11: '010' is octal to some readers and decimal to others; write a plain decimal, or quote it",
    ),
    (
        "[clean, distorted]",
        "&guitars [clean, distorted]",
        ":5: anchors (&) and aliases (*) are not allowed; write the value out",
    ),
    (
        "[clean, distorted]",
        "!!python/tuple [clean, distorted]",
        ":5: tag 'tag:yaml.org,2002:python/tuple' is not allowed; write a plain value",
    ),
    ("    keys:", "\tkeys:", ":6: a tab in the indentation; indent with spaces"),
    ("ignore: 120-127", "---\nname: two", ":13: expected one document, got a second one; remove it"),
    # --- labels
    (
        "  clean: 24-28",
        "  claen: 24-28",
        ":9: label of unknown node 'claen'; did you mean 'clean'?",
    ),
    ("  clean: 24-28", "  clean: 28-24", ":9: range 28-24 runs backwards; write 24-28"),
    ("  clean: 24-28", "  clean: 129", ":9: expected programs from 0 to 128, got 129"),
    ("  clean: 24-28", "  clean: -1", ":9: expected programs from 0 to 128, got -1"),
    ("  clean: 24-28", "  clean: 120-130", ":9: expected programs from 0 to 128, got 120-130"),
    (
        "  clean: 24-28",
        "  clean: [24, nylon]",
        ":9: node 'clean': expected a label that is a program such as 24, a range such as 24-25, "
        "or a list of these, got 'nylon'",
    ),
    (
        "  clean: 24-28",
        "  clean: true",
        ":9: node 'clean': expected a label that is a program such as 24, a range such as 24-25, "
        "or a list of these, got True",
    ),
    (
        "  clean: 24-28",
        "  clean:",
        ":9: node 'clean': expected a label that is a program such as 24, a range such as 24-25, "
        "or a list of these, got nothing",
    ),
    ("  clean: 24-28", "  clean: []", ":9: node 'clean' has an empty list of labels; remove it"),
    (
        "  clean: 24-28",
        "  clean: 24-29",
        ":10: label 29 of node 'distorted' is already a label of node 'clean' (line 9)",
    ),
    (
        "[29, 30-31]",
        "[29, 29]",
        ":10: label 29 of node 'distorted' is already a label of node 'distorted' (line 10)",
    ),
    (
        "ignore: 120-127",
        "ignore: 23",
        ":13: label 23 of 'ignore' is already a label of node 'organ' (line 12)",
    ),
    (
        "match: program_num\n",
        "",
        ":8: labels need 'match', the stem attribute that they name, such as program_num",
    ),
    ("match: program_num", "match: []", ":7: expected a stem attribute or a list of them, got an empty list"),
    ("match: program_num", "match: 12", ":7: expected the id of a stem attribute, got 12"),
    (
        "match: program_num",
        "match: [program_num, program_num]",
        ":7: attribute 'program_num' appears twice in 'match'",
    ),
    (
        "match: program_num",
        "match: plugin_name",
        ":10: node 'distorted': expected a label that is text, got 29; quote it",
    ),
    (
        "  clean: 24-28",
        "  slakh: {clean: 24-28}",
        ":7: 'match' stands beside labels per data set; move it into each of them",
    ),
    # --- display
    (
        "match: program_num",
        "display: {pino: Grand}\nmatch: program_num",
        ":7: display name of unknown node 'pino'; did you mean 'piano'?",
    ),
    (
        "match: program_num",
        "display: {piano: 12}\nmatch: program_num",
        ":7: expected the display name of 'piano' as text in one line, got 12",
    ),
    (
        "match: program_num",
        "display: Grand\nmatch: program_num",
        ":7: expected a mapping, got 'Grand'",
    ),
    # --- the format
    (
        "name: band",
        "name: band\nformat: 2",
        ":2: expected format 1 or lower, got 2: written by a later version of hiersep; update hiersep to read it",
    ),
    ("name: band", "name: band\nformat: 0", ":2: expected a format number from 1 to 1, got 0"),
    ("name: band", "name: band\nformat: '1'", ":2: expected a format number from 1 to 1, got '1'"),
    ("name: band", "name: band\nformat:", ":2: expected a format number from 1 to 1, got nothing"),
    ("name: band", "name: band\nformat: {}", ":2: expected a format number from 1 to 1, got a mapping"),
    # --- the line of an entry, where it is not that of the list or mapping that it stands in
    (
        "name: band\nlevels: [mixture, family, class]",
        "levels: [mixture, family, class]\nname: [band]",
        ":2: expected a name (letters, digits, '.', '_', '-'), got a list",
    ),
    (
        "name: band\nlevels: [mixture, family, class]",
        f"levels: [mixture, family, class]\nname: {'n' * 101}",
        ":2: expected a name of at most 100 characters, got 101",
    ),
    (
        "[mixture, family, class]",
        "[mixture, family,\n  Class]",
        ":3: level 'Class': expected snake_case (a-z, 0-9, _; a letter first); did you mean 'class'?",
    ),
    ("[mixture, family, class]", f"{[f'l{n}' for n in range(101)]}", ":2: expected at most 100 levels, got 101"),
    (
        "[clean, distorted]",
        f"[clean,\n      {'d' * 101}]",
        f":6: node '{'d' * 20}...': expected at most 100 characters",
    ),
    ("[clean, distorted]", "[clean,\n      12]", ":6: expected the id of a node, got 12"),
    (
        "[piano, organ]",
        "[piano,\n      clean]",
        ":7: node 'clean' appears twice (also line 5); ids must be unique",
    ),
    (
        "    guitar: [clean, distorted]\n    keys: [piano, organ]",
        "    guitar: [clean,\n      distorted]\n    keys: [piano,\n      distorted]",
        ":8: node 'distorted' appears twice (also line 6); ids must be unique",
    ),
    (
        "    keys: [piano, organ]",
        "    keys:\n      - piano\n      - organ: [pipe]",
        ":8: node 'pipe' stands at depth 3, deeper than the last level 'class' (2); add a level or move the node up",
    ),
    (
        "    keys: [piano, organ]",
        "    keys:\n      - piano\n      - organ:",
        ":8: node 'organ' has no children; write a leaf as a list item: [organ]",
    ),
    (
        "    keys: [piano, organ]",
        "    keys:\n      piano: [upright]\n      organ: pipe",
        ":7: node 'upright' stands at depth 3, deeper than the last level 'class' (2); add a level or move the node up",
    ),
    (
        "[29, 30-31]",
        "[29,\n    nylon]",
        ":11: node 'distorted': expected a label that is a program such as 24, a range such as 24-25, "
        "or a list of these, got 'nylon'",
    ),
    ("[29, 30-31]", "[29,\n    31-30]", ":11: range 31-30 runs backwards; write 30-31"),
    ("[29, 30-31]", "[29,\n    24]", ":11: label 24 of node 'distorted' is already a label of node 'clean' (line 9)"),
    ("[29, 30-31]", "[]", ":10: node 'distorted' has an empty list of labels; remove it"),
    ("  distorted:", "  distortd:", ":10: label of unknown node 'distortd'; did you mean 'distorted'?"),
    ("ignore: 120-127", "ignore: [120,\n  129]", ":14: expected programs from 0 to 128, got 129"),
    (
        "match: program_num",
        "display:\n  piano: Grand\n  pino: Grand\nmatch: program_num",
        ":9: display name of unknown node 'pino'; did you mean 'piano'?",
    ),
    (
        "match: program_num",
        "display:\n  piano: Grand\n  organ: ' '\nmatch: program_num",
        ":9: expected the display name of 'organ' as text in one line, got ' '",
    ),
    (
        "match: program_num",
        'display:\n  piano: Grand\n  organ: "O\\a"\nmatch: program_num',
        ":9: expected the display name of 'organ' as text in one line, got 'O\\x07'",
    ),
    (
        "match: program_num",
        "match: [program_num,\n  program_num]",
        ":8: attribute 'program_num' appears twice in 'match'",
    ),
    ("match: program_num", "match: [program_num,\n  12]", ":8: expected the id of a stem attribute, got 12"),
    (
        "match: program_num",
        f"match: {[f'a{n}' for n in range(101)]}",
        ":7: expected at most 100 stem attributes, got 101",
    ),
]

# (name, whole file, the message after "band.yaml")
FILES = [
    ("empty", "", ":1: expected a document, got an empty one"),
    ("comment", "# nothing here\n", ":1: expected a document, got an empty one"),
    (
        "list",
        "[a, b]",
        ":1: expected a mapping with the keys name, levels, tree; got a list",
    ),
    ("text", "a b", ": expected a mapping with the keys name, levels, tree; got 'a b'"),
    ("unclosed", "name: [a,\n  b", ":2: not YAML (expected ',' or ']', but got '<stream end>', column 4)"),
    (
        "no root",
        "name: a\nlevels: [a, b]\ntree:\n",
        ":3: expected one root node with its children below, got nothing",
    ),
    (
        "list as tree",
        "name: a\nlevels: [a, b]\ntree: [mixture]\n",
        ":3: expected one root node with its children below, got a list",
    ),
    (
        "match alone",
        "name: a\nlevels: [a, b]\ntree: {m: [x]}\nmatch: filename\n",
        ":4: 'match' says nothing without labels; add 'labels:'",
    ),
    (
        "empty labels",
        "name: a\nlevels: [a, b]\ntree: {m: [x]}\nlabels: {}\n",
        ":4: expected a mapping from nodes or data sets to labels, got nothing",
    ),
    (
        "block without match",
        "name: a\nlevels: [a, b]\ntree: {m: [x]}\nlabels:\n  slakh: {x: 12}\n",
        ":5: labels need 'match', the stem attribute that they name, such as program_num",
    ),
    (
        "node beside data sets",
        "name: a\nlevels: [a, b]\ntree: {m: [x]}\nlabels:\n  slakh: {match: filename}\n  x: b\n",
        ":6: expected the labels of data set 'x' as a mapping, got 'b'",
    ),
    (
        "nested with a number",
        "mix:\n  guitar:\n    clean: 12\n",
        ":3: 'clean': expected a dict or a list of plugin names, got 12",
    ),
    (
        "nested with two parents",
        "mix:\n  guitar:\n    clean: [a]\n  keys:\n    Clean: [b]\n",
        ":5: node 'clean' appears twice (also line 3); ids must be unique",
    ),
    (
        "nested with a number beside what is right",
        "mix:\n  guitar: [a]\n  keys:\n    piano: [b]\n    organ: 3\n",
        ":5: 'organ': expected a dict or a list of plugin names, got 3",
    ),
    (
        "nested with a digit first",
        "mix:\n  guitar: [a]\n  '12':\n    piano: [b]\n",
        ":3: node '12': expected snake_case (a-z, 0-9, _; a letter first)",
    ),
    (
        "nested with a digit for the root",
        "# the authors\n\n'12':\n  guitar: [a]\n",
        ":3: node '12': expected snake_case (a-z, 0-9, _; a letter first)",
    ),
    (
        "nested with a plugin that is a number",
        "mix:\n  guitar: [a]\n  keys: [\n    b, 12]\n",
        ":4: node 'keys': expected a label that is text, got 12; quote it",
    ),
    (
        "labels of a data set whose name is none",
        "name: a\nlevels: [a, b]\ntree: {m: [x]}\nlabels:\n  slakh: {match: filename, x: g}\n  Other: {}\n",
        ":6: data set 'Other': expected snake_case (a-z, 0-9, _; a letter first); did you mean 'other'?",
    ),
    (
        "labels that are text",
        "name: a\nlevels: [a, b]\ntree: {m: [x]}\nmatch: filename\nlabels: b\n",
        ":5: expected a mapping from nodes or data sets to labels, got 'b'",
    ),
    (
        "a label without text",
        "name: a\nlevels: [a, b]\ntree: {m: [x]}\nmatch: filename\nlabels: {x: null}\n",
        ":5: node 'x': expected a label that is text, got nothing",
    ),
    (
        "an inner node too deep",
        "name: a\nlevels: [a, b]\ntree:\n  m:\n    x:\n      z:\n        - w\n",
        ":6: node 'z' stands at depth 2, deeper than the last level 'b' (1); add a level or move the node up",
    ),
    (
        "ignore without labels",
        "name: a\nlevels: [a, b]\ntree: {m: [x]}\nignore: b\n",
        ":4: 'ignore' says nothing without labels; add 'labels:'",
    ),
    (
        "ignore beside data sets",
        "name: a\nlevels: [a, b]\ntree: {m: [x]}\nignore: b\nlabels:\n  slakh: {match: filename, x: g}\n",
        ":4: 'ignore' stands beside labels per data set; move it into each of them",
    ),
    (
        "labels of too many data sets",
        "name: a\nlevels: [a, b]\ntree: {m: [x]}\nlabels:\n"
        + "".join(f"  d{n}: {{match: filename, x: g}}\n" for n in range(101)),
        ":4: expected labels of at most 100 data sets, got 101",
    ),
    (
        "too many nodes",
        f"name: a\nlevels: [a, b]\ntree:\n  m: [{', '.join(f'x{n}' for n in range(9_999))},\n    last]\n",
        ":5: expected at most 10000 nodes, got more; split the tree",
    ),
    (
        "nested with a plugin twice",
        "mix:\n  guitar: [a]\n  keys: [b, A]\n",
        ":3: label 'a' of node 'keys' is already a label of node 'guitar' (line 2)",
    ),
]


def message_of(path) -> str:
    with pytest.raises(HierarchyError) as error:
        Hierarchy.load(path)
    return str(error.value)


def test_the_file_that_is_broken_below_is_good(tmp_path):
    path = tmp_path / "band.yaml"
    path.write_text(GOOD)
    assert Hierarchy.load(path).leaves == ("clean", "distorted", "piano", "organ")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    MUTATIONS,
    ids=[message.lstrip(":0123456789 ")[:60] for *_, message in MUTATIONS],
)
def test_a_broken_file_says_where_and_what(tmp_path, old, new, message):
    path = tmp_path / "band.yaml"
    assert GOOD.count(old) == 1
    path.write_text(GOOD.replace(old, new))
    assert message_of(path) == f"{path}{message}"


@pytest.mark.parametrize(("text", "message"), [case[1:] for case in FILES], ids=[case[0] for case in FILES])
def test_a_wrong_file_says_where_and_what(tmp_path, text, message):
    path = tmp_path / "band.yaml"
    path.write_text(text)
    assert message_of(path) == f"{path}{message}"


def test_json_names_the_line_as_well(tmp_path):
    path = tmp_path / "band.json"
    path.write_text('{"name": "a",\n "levels": ["a", "b"],\n "tree": {"m": ["x",\n "x"]}}')
    also = "node 'x' appears twice (also line 3); ids must be unique"
    assert message_of(path) == f"{path}:4: {also}"
    path.write_text('{"name": "a",\n "name": "b"}')
    assert message_of(path) == f"{path}:2: key 'name' appears twice (also line 1)"
    path.write_text('{"name": "a",\n}')
    assert message_of(path).startswith(f"{path}:")
    assert ": not JSON (" in message_of(path)


def test_a_dict_has_no_lines_but_the_same_errors():
    data = {"name": "a", "levels": ["a", "b"], "tree": {"m": ["x", "x"]}}
    with pytest.raises(HierarchyError) as error:
        Hierarchy.load(data)
    assert str(error.value) == "hierarchy: node 'x' appears twice; ids must be unique"
    data["tree"] = {"m": [{1: ["x"]}]}
    with pytest.raises(HierarchyError, match=r"^hierarchy: expected the id of a node, got 1$"):
        Hierarchy.load(data)
    deep: dict = {}
    for _ in range(200):
        deep = {"a": deep}
    with pytest.raises(HierarchyError, match="nested deeper than 100 levels"):
        Hierarchy.load(deep)


def test_what_is_not_there_is_said_with_what_is(tmp_path):
    shipped = ", ".join(Hierarchy.available())
    assert message_of("slak34") == (
        f"unknown hierarchy 'slak34'; did you mean 'slakh34'?; shipped are {shipped}; "
        "a file is named with its suffix (.yaml, .yml, .json)"
    )
    assert message_of(tmp_path / "no.yaml") == (
        f"{tmp_path / 'no.yaml'}: cannot be read (No such file or directory); check the path"
    )
    assert message_of(12) == "expected the name of a hierarchy, a path or a dict, got int"


def test_every_message_is_one_line(tmp_path):
    path = tmp_path / "band.yaml"
    for text in ('name: "a\\nb"\n', "name: a\nlevels: [a, b]\ntree: {m: ['x\n\n  y']}\n"):
        path.write_text(text)
        assert "\n" not in message_of(path)


def test_unknown_nodes_levels_and_data_sets_are_named(tmp_path):
    slakh = Hierarchy.load("slakh34")
    with pytest.raises(HierarchyError) as error:
        slakh.node("clean_electric_guitr")
    assert str(error.value) == (
        "hierarchy 'slakh34' has no node 'clean_electric_guitr'; did you mean 'clean_electric_guitar'?"
    )
    with pytest.raises(HierarchyError) as error:
        slakh.at_level("famly")
    assert str(error.value) == (
        "hierarchy 'slakh34' has no level 'famly'; did you mean 'family'?; "
        "levels are mixture (0), group (1), family (2), class (3)"
    )
    for level in (-1, 4):
        with pytest.raises(HierarchyError, match=f"no level {level}"):
            slakh.at_level(level)
    with pytest.raises(HierarchyError) as error:
        Hierarchy.load("universal").claim({"filename": "vocals.wav"}, "musdb")
    assert str(error.value) == (
        "hierarchy 'universal' has labels for slakh, musdb18, moisesdb, medleydb, "
        "none for 'musdb'; did you mean 'musdb18'?"
    )
    with pytest.raises(HierarchyError, match=r"no data set is named$"):
        Hierarchy.load("universal").reachable()
    with pytest.raises(HierarchyError, match="'pipe' is a leaf; name a node with children"):
        slakh.subtree("pipe")
    with pytest.raises(HierarchyError, match="level 'mixture' is the root's; name a finer one"):
        slakh.collapse("mixture")
    with pytest.raises(HierarchyError, match="expected the format 'yaml' or 'json', got 'toml'"):
        slakh.dump("toml")


def test_what_is_just_short_and_few_enough_is_read():
    id, levels = "n" * 100, [f"l{n}" for n in range(100)]
    tree: dict = {"leaf": None}
    for name in reversed([id, *(f"n{depth}" for depth in range(1, 99))]):
        tree = {name: tree if "leaf" not in tree else ["leaf"]}
    data = {"name": "N" * 100, "levels": levels, "tree": tree}
    hierarchy = Hierarchy.load({**data, "match": [f"a{n}" for n in range(100)], "labels": {"leaf": "x"}})
    assert (hierarchy.root.id, len(hierarchy.levels), len(hierarchy.name)) == (id, 100, 100)
    blocks = {f"d{n}": {"match": "filename", "leaf": "x"} for n in range(100)}
    assert len(Hierarchy.load({**data, "labels": blocks}).to_dict()["labels"]) == 100


def wide(nodes: int) -> dict:
    return {"name": "wide", "levels": ["mixture", "stem"], "tree": {"mixture": [f"n{n}" for n in range(nodes - 1)]}}


def test_ten_thousand_nodes_with_labels_load_and_more_are_refused():
    data = wide(10_000)
    labelled = Hierarchy.load({**data, "match": "filename", "labels": {id: id for id in data["tree"]["mixture"]}})
    assert len(labelled) == 10_000
    assert labelled.claim({"filename": "n9998.wav"}) == "n9998"
    with pytest.raises(HierarchyError, match=r"^hierarchy: expected at most 10000 nodes, got more; split the tree$"):
        Hierarchy.load(wide(10_001))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": [f"l{n}" for n in range(100_000)]}, "expected at most 100 levels, got 100000"),
        ({"match": [f"a{n}" for n in range(100_000)], "labels": {"n0": "x"}}, "expected at most 100 stem attributes"),
        ({"labels": {f"d{n}": {"match": "a", "n0": "x"} for n in range(50_000)}}, "labels of at most 100 data sets"),
    ],
)
def test_lists_without_end_are_refused_in_a_moment(change, message):
    started = time.process_time()
    with pytest.raises(HierarchyError, match=message):
        Hierarchy.load({**wide(3), **change})
    assert time.process_time() - started < 1


def test_a_word_of_a_mebibyte_is_not_compared_with_what_is_known():
    data, started = wide(3), time.process_time()
    with pytest.raises(HierarchyError, match="unknown node"):
        Hierarchy.load({**data, "match": "filename", "labels": {"n" * 1_000_000: "x"}})
    assert time.process_time() - started < 1


@pytest.mark.parametrize("text", ["\ud83c", "a\udfb8", "\ud83c\udfb8"])
def test_a_label_of_a_dict_that_no_file_can_hold_is_refused(text):
    with pytest.raises(HierarchyError, match=r"expected a label that is text, got .* holds half a character") as error:
        Hierarchy.load({"strings": [text]})
    str(error.value).encode()
