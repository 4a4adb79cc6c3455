"""The benchmarks keep their contract: a main, a page that names them, the JSON, the exit code."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import _report

ROOT = Path(__file__).parents[1]
NAMES = sorted(path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py"))


def test_there_are_benchmarks():
    assert "startup" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_has_a_main_and_stands_in_the_guide(name):
    assert callable(importlib.import_module(f"benchmarks.{name}").main)
    assert f"python -m benchmarks.{name}" in (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def check(result: dict) -> None:
    assert set(result) == {"rows", "bars", "machine", "commit"}
    assert result["rows"]
    assert len({tuple(row) for row in result["rows"]}) == 1
    for bar in result["bars"]:
        assert set(bar) == {"name", "ratio", "must", "holds"}
        assert isinstance(bar["ratio"], float)
        assert isinstance(bar["holds"], bool)
        assert bar["must"].split()[0] in ("<=", ">=")


def test_startup_prints_json_and_exits_by_its_bar():
    # Whether the bar holds is for `make bench`, on a machine with nothing else to do.
    command = [sys.executable, "-m", "benchmarks.startup", "--json", "--repeats", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stderr == ""
    result = json.loads(done.stdout)
    check(result)
    assert [row["command"] for row in result["rows"]] == ["python -c pass", "hiersep tree slakh34"]
    bare, tree = (row["median_s"] for row in result["rows"])
    (bar,) = result["bars"]
    assert bar["ratio"] == pytest.approx((tree - bare) / 0.4)
    assert done.returncode == (0 if bar["holds"] else 1)


@pytest.mark.parametrize(
    ("ratio", "must", "holds"),
    [
        (1.0, "<= 1", True),
        (1.01, "<= 1", False),
        (2.0, ">= 2", True),
        (1.9, ">= 2", False),
        (float("nan"), "<= 1", False),
    ],
)
def test_a_bar_holds_or_not(ratio, must, holds):
    assert _report.Bar("x", ratio, must).holds is holds


@pytest.mark.parametrize(("ratio", "code", "word"), [(0.5, 0, "holds"), (1.5, 1, "FAILS")])
def test_a_bar_that_fails_makes_the_exit_code_1(capsys, ratio, code, word):
    def measure(repeats):
        return [{"what": "a", "seconds": 0.12345}, {"what": "long name", "seconds": 10.0}], [
            _report.Bar("speed", ratio, "<= 1")
        ]

    assert _report.run("x", measure, repeats=1, arguments=[]) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["what       seconds", "a           0.1235", "long name       10"]
    assert lines[3].startswith(f"{word}: speed: {ratio}, must be <= 1")
    assert _report.run("x", measure, repeats=1, arguments=["--json"]) == code
    check(json.loads(capsys.readouterr().out))


def test_no_repeats_are_refused():
    with pytest.raises(SystemExit, match="2"):
        _report.run("x", lambda repeats: ([], []), repeats=1, arguments=["--repeats", "0"])
