"""``hiersep info``: what is in a checkpoint's header is said, and nothing else of the file is read."""

import json
import struct
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from hiersep.cli import app
from hiersep.models import checkpoint, locating
from hiersep.models.path import PathSeparator
from hiersep.models.query import QuerySeparator
from hiersep.models.tree import TreeSeparator

SIZES = {"hidden_size": 4, "num_layers": 1}
PROVENANCE = {"data": "Slakh", "steps": 7, "scores": {"guitar": -1.5}, "licence": "CC0-1.0", "commit": "abc"}
NETWORKS = {
    "path": (PathSeparator, "slakh_ismir2020", ["guitar", "clean_guitars"]),
    "query": (QuerySeparator, "musdb18", ["stem"]),
    "tree": (TreeSeparator, "musdb18", ["vocals", "accompaniment", "drums"]),
}


def make(kind, **options):
    cls, *arguments = NETWORKS[kind]
    settings = {"network": SIZES, "sample_rate": 8000, "spectrum": {"n_fft": 64, "hop_length": 16}, **options}
    return cls(*arguments, **settings, **({"query": {**SIZES, "embedding_size": 2}} if kind == "query" else {}))


@pytest.fixture
def saved(tmp_path):
    def save(kind, provenance=PROVENANCE, **options):
        path = tmp_path / f"{kind}.safetensors"
        checkpoint.save(make(kind), path, provenance, **options)
        return path

    return save


def run(*words):
    return CliRunner().invoke(app, ["info", *map(str, words)])


def said(path):
    """What is printed, as lines, and what stands in its two columns."""
    result = run(path)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    return lines, dict(line.split("  ", 1) for line in lines if "  " in line and line[0].isalpha())


def test_a_path_is_shown_with_its_nodes_in_a_small_tree(saved):
    path = saved("path")
    lines, columns = said(path)
    assert lines[0] == str(path)
    values = {key: text.strip() for key, text in columns.items()}
    assert values["network"] == "PathSeparator: guitar, clean_guitars"
    assert values["sample rate"] == "8000 Hz"
    assert values["spectrum"] == "n_fft 64, hop_length 16"
    assert values["masking network"].startswith("backbone blstm, hidden_size 4, num_layers 1, ")
    assert [line.split()[-2] for line in lines if line.endswith(" estimated")] == ["guitar", "clean_guitars"]
    assert any(line.startswith("├── winds_voices ") and line.endswith("(29 below)") for line in lines)
    assert any(line.endswith("└── clean_electric_guitar") for line in lines)
    assert "piccolo" not in "".join(lines)
    assert values["data"] == "Slakh"
    assert values["scores"] == '{"guitar": -1.5}'
    assert values["licence"] == "CC0-1.0"
    assert values["format"] == "1"


def test_of_a_query_network_its_levels_and_the_network_that_listens_are_shown(saved):
    lines, columns = said(saved("query"))
    assert columns["network"].strip() == "QuerySeparator: stem"
    assert columns["query network"].strip().startswith("hidden_size 4, num_layers 1, ")
    assert "embedding_size 2" in columns["query network"]
    assert [line.split()[-2] for line in lines if line.endswith("  stem")] == ["drums", "bass", "other"]


def test_of_a_tree_the_nodes_that_are_left_out_are_not_marked(saved):
    lines, _ = said(saved("tree"))
    assert [line.split()[-2] for line in lines if line.endswith(" estimated")] == ["vocals", "accompaniment", "drums"]
    assert any(line.endswith("── bass") for line in lines)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize(
    "network",
    [
        SIZES,
        {**SIZES, "skip": True},
        {"backbone": "tdconvnet", "num_layers": 1, "num_repeats": 1},
        {"backbone": "dprnn", "num_repeats": 1},
        {"backbone": "bandsplit", "num_layers": 1, "num_bands": 8},
    ],
    ids=str,
)
def test_the_parameters_are_counted_as_torch_counts_them(tmp_path, kind, network):
    model = make(kind, network=network)
    checkpoint.save(model, tmp_path / "model.safetensors")
    content = json.loads(run(tmp_path / "model.safetensors", "--json").stdout)
    assert content["parameters"] == sum(parameter.numel() for parameter in model.parameters())


def test_json_holds_all_that_the_header_does(saved):
    path = saved("path", half=True)
    content = json.loads(run(path, "--json").stdout)
    assert content.pop("path") == str(path)
    assert content.pop("bytes") == path.stat().st_size
    assert content.pop("dtypes") == ["F16", "F32"]
    assert content.pop("parameters") > 0
    assert content == checkpoint.describe(path)


def test_nothing_but_the_header_is_read(saved):
    path = saved("path")
    before = run(path).stdout
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    path.write_bytes(whole[: 8 + length] + b"\xff" * (len(whole) - 8 - length))  # NaN in every weight
    assert run(path).stdout == before
    code = "import sys; from hiersep.cli import app; app(sys.argv[1:], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "info", path], capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout.splitlines()[-1].split()


def test_shipped_networks_are_listed_and_shown_by_name(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(locating, "SHIPPED", tmp_path)
    saved("path", {"description": "The demo's."})
    saved("tree", {})
    assert run().stdout.splitlines() == [
        "path  The demo's.",
        "tree  TreeSeparator: vocals, accompaniment, drums",
    ]
    assert json.loads(run("--json").stdout)["path"] == "The demo's."
    assert run("path").stdout.splitlines()[0] == str(tmp_path / "path.safetensors")


def test_where_nothing_is_shipped_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(locating, "SHIPPED", tmp_path)
    assert run().stdout == "No network is shipped; name a checkpoint.\n"
    assert json.loads(run("--json").stdout) == {}


@pytest.mark.parametrize("name", ["nothing.safetensors", "nothing", "text", "."])
def test_what_is_no_checkpoint_is_one_line_and_exit_code_2(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("no network")
    result = run(name)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"hiersep: error: {name}: ")


@pytest.mark.parametrize(
    "change",
    [
        {"hierarchy": {"name": "x"}},
        {"nodes": ["no_such_node"]},
        {"nodes": 5},
        {"nodes": [["guitar"]]},
        {"nodes": {"guitar\n": 1}},
        {"spectrum": {"n_fft": "many"}},
        {"spectrum": 1},
        {"network": {"backbone": "x\x1b[2J"}},
    ],
    ids=str,
)
def test_a_header_that_describes_no_network_is_one_line(saved, tmp_path, change):
    path = saved("path")
    about = checkpoint.describe(path)
    about["arguments"].update(change)
    write_header(path, about)
    result = run(path)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert "the header describes no network" in line
    assert "\x1b" not in line


def write_header(path, about):
    """A file of one weight."""
    tensors = {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    text = json.dumps({"__metadata__": {"hiersep": json.dumps(about)}, **tensors}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))


def test_what_a_stranger_tells_cannot_steer_the_terminal(saved):
    path = saved("path", {"data": "\x1b[2J\x07fine\r\n\u202egnp", "\x1b]0;title": ["\ud800", "\x9b"]})
    result = run(path)
    assert result.exit_code == 0, result.output
    assert all(char.isprintable() or char == "\n" for char in result.stdout)
    assert r"\x1b[2J\x07fine\r\n\u202egnp" in result.stdout
