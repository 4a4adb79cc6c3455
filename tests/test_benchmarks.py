"""The benchmarks keep their contract: a main, a page that names them, the JSON, the exit code."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import _report, inference
from hiersep import HierarchicalSeparator
from hiersep.compat import nussl
from hiersep.separation.settings import OVERLAP_S

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


TINY = {"hidden_size": 8, "num_layers": 2}


def test_inference_measures_time_and_judges_it_turn_by_turn(monkeypatch):
    monkeypatch.setattr(inference, "PAPERS", TINY)
    rows, bars = inference.time_separation(1, 20.0)
    seconds = [row["value"] for row in rows]
    assert [row["unit"] for row in rows] == ["s"] * 5
    assert bars[0].ratio == pytest.approx(seconds[0] / min(seconds[1:3]))
    assert bars[1].ratio == pytest.approx(seconds[3] / seconds[4])


@pytest.mark.adapters
def test_inference_gives_nussl_an_equal_network():
    model = inference.papers_network({**TINY, "constraint": "none"})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 3
        model.norm.running_var.fill_(100)
    mixture = 100 * inference.make_mixture(model, 4.0)  # the two have floors of their own for what is nearly silent
    params = nussl.STFTParams(model.stft.n_fft, model.stft.hop_length, "sqrt_hann")
    signal = nussl.AudioSignal(audio_data_array=mixture, sample_rate=16000, stft_params=params)
    theirs = inference.nussls_separator(inference.as_nussls(model), model, signal)
    ours = HierarchicalSeparator(signal, model, device="cpu")
    assert [estimate.signal_length for estimate in theirs()] == [estimate.signal_length for estimate in ours()]
    for their_mask, our_mask in zip(theirs.result_masks, ours.result_masks, strict=True):
        assert our_mask.mask.std() > 0.1
        np.testing.assert_allclose(their_mask.mask, our_mask.mask, atol=1e-4)


def test_inference_finds_what_the_overlap_does_to_joins(monkeypatch):
    monkeypatch.setattr(inference, "SONGS", 2)
    monkeypatch.setattr(inference, "REACHED_DB", -100.0)  # two songs may have no node that the network finds
    rows, bars = inference.measure_quality(20.0)
    assert len(rows) == 2 * len(inference.OVERLAPS_S) + len(inference.SHIFTS)
    values = {row["measured"]: row["value"] for row in rows}
    assert values["joins stand out by, overlap 0 s"] > values["joins stand out by, overlap 4 s"]
    assert bars[0].ratio == -values[f"SI-SDR change, overlap {OVERLAP_S:g} s"]
    assert bars[1].ratio == values[f"joins stand out by, overlap {OVERLAP_S:g} s"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.slow
def test_inference_prints_json(monkeypatch, capsys):
    monkeypatch.setattr(inference, "SONGS", 2)
    monkeypatch.setattr(inference, "REACHED_DB", -100.0)
    monkeypatch.setattr(inference, "PAPERS", TINY)
    code = inference.main(["--json", "--repeats", "1", "--seconds", "20"])
    result = json.loads(capsys.readouterr().out)
    check(result)
    assert code == (0 if all(bar["holds"] for bar in result["bars"]) else 1)
    memory = [row["value"] for row in result["rows"] if row["unit"] == "MB"]
    assert len(memory) == len(inference.LONGER)
    assert min(memory) > 0


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


def test_the_time_that_a_gpu_is_busy_counts_what_overlaps_once():
    from benchmarks.training import covered

    assert covered([(3.0, 4.0), (0.0, 1.0), (0.5, 2.0), (3.2, 3.3)]) == 3
    assert covered([]) == 0


def test_a_mutant_is_noticed_where_a_test_fails_or_never_ends(tmp_path):
    from benchmarks.reliability.mutants import count

    codes = {"a": 1, "b": 3, "c": 0, "d": None, "e": 36, "f": -24, "g": 33, "h": 5}
    for name, of_file in (("hiersep/losses.py", codes), ("hiersep/audio.py", {})):
        meta = tmp_path / f"{name}.meta"
        meta.parent.mkdir(exist_ok=True)
        meta.write_text(json.dumps({"exit_code_by_key": of_file}))
    found = count(tmp_path)
    assert list(found) == ["hiersep/losses.py"]
    assert found["hiersep/losses.py"] == {"killed": 2, "survived": 1, "pending": 1, "endless": 2, "untested": 2}
