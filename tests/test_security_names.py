"""Names are shown and do nothing: no name makes an element of a page, runs a script or steers a terminal.

A page with hostile names is compared with the same page with plain ones: the elements and their attributes' names are
the same, one for one, so whatever is on the page comes from the page and not from a name.
"""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from helpers import Page, noise, write_audio, write_folder
from rich.console import Console
from typer.testing import CliRunner

from hiersep.app import pieces
from hiersep.app.sessions import Sessions
from hiersep.app.uploads import Limits, shown_name, stem_of
from hiersep.app.work import Stems
from hiersep.cli import app
from hiersep.cli.command import say, say_error, say_warning
from hiersep.doctor import Finding
from hiersep.models.path import PathSeparator
from hiersep.report import Truth, write_report

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": '"><img src=x onerror=alert(1)>',
    "apostrophe": "' onmouseover='alert(1)' x='",
    "address": "javascript:alert(1)",
    "end of script": "</script><script>alert(1)</script>",
    "end of style": "</style></title><svg/onload=alert(1)>",
    "template": "{{ 7 * 7 }}{% include '/etc/hostname' %}",
    "entity": "&lt;script&gt;&#60;b&#62;&quot;",
    "comment": "--><b>x</b><!--",
    "markup": "[bold red]x[/bold red] **b** `c` [a](javascript:b)",
}
PLAIN = "guitar"


def skeleton(html):
    """Every element with the names of its attributes, in order; no value of any leads to a script."""
    page = Page(html)
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "action", "formaction"):
            assert not (attributes.get(name) or "").strip().lower().startswith(("javascript:", "vbscript:"))
    return [(tag, sorted(attributes)) for tag, attributes in page.tags]


def band(name):
    return {
        "name": "band", "levels": ["mixture", "instrument"], "tree": {"mixture": ["guitar", "drums"]},
        "display": {"guitar": name, "mixture": name},
    }  # fmt: skip


def results_of(name):
    figures = dict.fromkeys(("si_sdr", "si_sdri", "mixture", "static", "oracle"))
    return {
        "kind": "path", "key": name, "model": name, "data": name, "commit": name, "levels": {}, "nodes": {},
        "targets": {}, "identical_levels": 0.0, "nothing_to_separate": None, "whole": figures,
    }  # fmt: skip


def report(folder, name):
    file = name.replace("/", "\u2215")  # all that a file's name cannot hold
    mixture = write_audio(folder / f"{file}.wav", noise(0.1, seed=1))
    estimates = {node: write_audio(folder / f"{node}.wav", noise(0.1, seed=2)) for node in ("guitar", "drums")}
    truth = Truth({}, results_of(name))
    page = write_report(mixture, estimates, band(name), folder / "report.html", truth=truth)
    return page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_no_name_makes_an_element_of_the_report(tmp_path, name):
    hostile, plain = report(tmp_path / "hostile", name), report(tmp_path / "plain", PLAIN)
    assert skeleton(hostile) == skeleton(plain)
    assert name in Page(hostile).text  # it is shown as it is


@pytest.fixture
def visit(tmp_path):
    (tmp_path / "visits").mkdir()
    return Sessions(tmp_path / "visits", Limits()).begin("someone")


def app_page(visit, name):
    """All that the app writes as HTML around names."""
    network = PathSeparator(band(name), ["guitar"], network={"hidden_size": 2, "num_layers": 1})
    path = visit.new_path("mixture")
    visit.mixture = SimpleNamespace(name=shown_name(name), path=path)
    archive = f"{stem_of(name)}.zip"
    visit.files = {"mixture": path, "guitar.wav": path, archive: path, "report.html": path}
    made = Stems({"guitar": "guitar.wav"}, archive, "report.html")
    lines = [pieces.notice(name, kind) for kind in ("said", "warning", "error")]
    return "".join([pieces.tree(network), pieces.results(visit, network, made), *lines])


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_no_name_makes_an_element_of_the_apps_page(visit, name):
    assert skeleton(app_page(visit, name)) == skeleton(app_page(visit, PLAIN))


# --- the terminal

STEERING = {
    "clear": "\x1b[2J", "title": "\x1b]0;title\x07", "C1": "\x9b31m", "back": "a\x08\x08b", "return": "a\rb",
    "line": "a\nhiersep: all is well", "reversed": "\u202egnp.exe", "link": "\x1b]8;;http://x\x1b\\a\x1b]8;;\x1b\\",
    "delete": "\x7f", "separator": "a\u2028b",
}  # fmt: skip


@pytest.mark.parametrize("name", STEERING.values(), ids=STEERING)
def test_no_name_steers_the_terminal(capsys, name):
    for speak in (say, say_error, say_warning):
        speak(f"{name}: a song")
    out, err = capsys.readouterr()
    lines = [*out.split("\n"), *err.split("\n")]
    assert all(line.isprintable() for line in lines)
    assert len(err.split("\n")) == 3


@pytest.mark.parametrize("name", ["\x1b[31mred", "[bold]x", "a\x9bb", "\u202eab"])
def test_a_song_is_named_as_it_is_and_steers_nothing(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HIERSEP_CACHE", str(tmp_path / "cache"))
    data = write_folder(tmp_path / "data", {f"train/{name}": {"vocals": noise(0.5), "drums": noise(0.5, seed=1)}})
    (data / "train" / name / "broken.wav").write_bytes(b"no sound")
    result = CliRunner().invoke(app, ["index", str(data), "--jobs", "1"])
    assert result.exit_code == 0, result.output
    assert all(line.isprintable() for line in result.output.split("\n"))
    assert "broken.wav" in result.output
    if name.startswith("["):
        assert name in result.output


def test_what_the_doctor_finds_is_text_to_rich(monkeypatch):
    found = [Finding("a", "ok", "[bold]x[/bold] \x1b[2J")]
    monkeypatch.setattr("hiersep.doctor.examine", lambda: found)
    result = CliRunner().invoke(app, ["doctor"])
    assert "[bold]x[/bold] \\x1b[2J" in result.output
    console = Console(file=io.StringIO(), force_terminal=True)
    console.print("[bold]x[/bold]")
    assert "[bold]" not in console.file.getvalue()  # what would have become of it
