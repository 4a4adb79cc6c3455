"""``hiersep doctor`` and the command line as a whole."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import hiersep
from hiersep import doctor
from hiersep.cli import app


@pytest.fixture(scope="module")
def findings():
    return list(doctor.examine())


def test_where_the_tests_run_hiersep_works(findings):
    assert [finding for finding in findings if finding.state == "broken"] == []
    names = [finding.name for finding in findings]
    assert names == list(dict.fromkeys(names))
    assert {"hiersep", "device", "ffmpeg", "networks", "separation"} <= set(names)
    assert all("\n" not in finding.text for finding in findings)
    (networks,) = (finding.text for finding in findings if finding.name == "networks")
    assert networks == ", ".join(hiersep.list_pretrained())


def test_what_is_missing_is_told_from_what_is_broken(monkeypatch, tmp_path):
    def broken():
        raise ImportError("no\nsuch thing")

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor, "_hosts", broken)
    for slow in ("_separation", "_fluidsynth"):
        monkeypatch.setattr(doctor, slow, lambda: doctor.Finding("quick", "ok", "here"))
    states = {finding.name: finding for finding in doctor.examine()}
    assert states["ffmpeg"].state == "missing"
    assert states["nussl, asteroid, scaper"] == ("nussl, asteroid, scaper", "broken", "ImportError: no such thing")


def test_the_command_ends_with_1_only_where_something_is_broken(monkeypatch):
    found = [doctor.Finding("a", "ok", "[fine]"), doctor.Finding("b", "missing", "install b")]
    monkeypatch.setattr(doctor, "examine", lambda: iter(found))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == ["ok a: [fine]", "missing b: install b"]
    found.append(doctor.Finding("c", "broken", "dead"))
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)[2] == {"name": "c", "state": "broken", "text": "dead"}


def test_the_package_runs_as_a_module_and_knows_its_version():
    words = [sys.executable, "-m", "hiersep", "--version"]
    assert (
        subprocess.run(words, check=True, capture_output=True, text=True).stdout == f"hiersep {hiersep.__version__}\n"
    )
