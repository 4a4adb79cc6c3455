"""``hiersep tree``."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer
from helpers import tone, write_folder
from typer.testing import CliRunner

from hiersep.cli.tree import tree
from hiersep.hierarchy import Hierarchy

app = typer.Typer()
app.command()(tree)


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_alone_it_lists_the_shipped_ones_with_their_counts():
    result = run()
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(Hierarchy.available())
    assert "slakh_ismir2020  mixture 1, group 4, family 8, class 18, instrument 48" in result.stdout


def test_a_name_prints_the_tree_with_its_labels():
    result = run("musdb18")
    assert result.exit_code == 0
    assert result.stdout == (
        "musdb18: mixture 1, group 2, stem 4\n"
        "\n"
        "mixture\n"
        "├── vocals         vocals\n"
        "└── accompaniment\n"
        "    ├── drums      drums\n"
        "    ├── bass       bass\n"
        "    └── other      other\n"
    )


def test_several_data_sets_are_named_beside_the_nodes():
    lines = run("universal").stdout.splitlines()
    (other,) = (line for line in lines if "─ other " in line)
    assert other.split()[2:] == ["musdb18,", "moisesdb"]


def test_a_file_is_read_and_json_is_json(tmp_path):
    path = tmp_path / "band.yaml"
    path.write_text(
        "name: band\nlevels: [mixture, stem]\ntree: {mixture: [a, b]}\nmatch: program_num\nlabels: {a: [1, 3-4]}\n"
    )
    result = run(str(path), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "name": "band",
        "levels": ["mixture", "stem"],
        "nodes": [
            {
                "id": "mixture",
                "display": "mixture",
                "level": "mixture",
                "depth": 0,
                "parent": None,
                "children": ["a", "b"],
                "labels": {},
            },
            {
                "id": "a",
                "display": "a",
                "level": "stem",
                "depth": 1,
                "parent": "mixture",
                "children": [],
                "labels": {"*": [1, "3-4"]},
            },
            {
                "id": "b",
                "display": "b",
                "level": "stem",
                "depth": 1,
                "parent": "mixture",
                "children": [],
                "labels": {},
            },
        ],
    }


def test_alone_with_json_it_lists_them_all():
    listed = json.loads(run("--json").stdout)
    assert [entry["name"] for entry in listed] == list(Hierarchy.available())
    assert [len(entry["nodes"]) for entry in listed] == [len(Hierarchy.load(name)) for name in Hierarchy.available()]


@pytest.mark.parametrize("source", ["slak34", "no_such.yaml"])
def test_what_is_not_there_exits_2_with_one_line(source):
    result = run(source)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("hiersep: error: ")
    assert source in line


def test_it_loads_nothing_heavy():
    code = (
        "import sys; from hiersep.cli.tree import tree; tree('slakh34'); "
        "heavy = {'torch', 'nussl', 'asteroid', 'numpy', 'scipy', 'rich'} & set(sys.modules); "
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def data(tmp_path):
    """Loud vocals and a soft bass in one split; in the other a whistle, which musdb18's tree does not know."""
    songs = {"train/a": {"vocals": tone(3.0), "bass": tone(3.0, db=-50)}, "test/b": {"whistle": tone(3.0)}}
    return write_folder(tmp_path / "data", songs)


def test_with_data_it_says_what_each_node_has_there(data, tmp_path):
    result = run("musdb18", "--data", str(data), "--plot", str(tmp_path / "held.png"))
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["stems", "minutes", "windows", "salient", "sibling", "+mixture", "+group"]
    vocals, bass = (next(line for line in lines if f"─ {name} " in line).split() for name in ("vocals", "bass"))
    assert vocals[2:6] == ["1", "0.1", "1", "50.0%"]
    assert bass[-7:-3] == ["1", "0.1", "0", "0.0%"]
    assert lines[-3:] == [
        "Unclaimed stems: 1 (test/b/whistle.wav)",
        "Leaves without a label here: none",
        "Leaves without a stem here: 2 (drums, other)",
    ]
    assert (tmp_path / "held.png").read_bytes().startswith(b"\x89PNG")


def test_a_split_alone_as_json_is_the_coverage(data):
    from hiersep.data.catalog import open_dataset
    from hiersep.data.coverage import measure_coverage

    result = run("musdb18", "--data", str(data), "--split", "train", "--json")
    assert result.exit_code == 0
    held = measure_coverage(open_dataset(data), Hierarchy.load("musdb18"), split="train")
    assert json.loads(result.stdout) == json.loads(json.dumps(held.to_dict()))
    assert json.loads(result.stdout)["tracks"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["musdb18", "--split", "train"], "split: expected --data DIR beside it, got none"),
        (["musdb18", "--plot", "x.png"], "plot: expected --data DIR beside it, got none"),
        (["--data", "."], "data: expected a hierarchy beside it, got none"),
        (["musdb18", "--data", "no_such_folder"], "no such folder"),
    ],
)
def test_options_that_do_not_go_together_exit_2_with_one_line(arguments, message):
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert message in line
