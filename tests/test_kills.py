"""Commands that are killed anywhere, and given again, end as if nothing had been; and the harness would notice."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import RATE, noise

from benchmarks.reliability import _trees
from hiersep.audio import write

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(
    not (hasattr(os, "pidfd_open") and Path("/proc/self/task").exists()), reason="processes are watched as Linux does"
)


def kill(commands, kills, *, before=""):
    """Run the harness in a process of its own, which has no threads; give its exit code, rows, and what it said."""
    # The harness first: it holds NumPy to one thread, which must be said before NumPy is there.
    code = f"import sys\nfrom benchmarks.reliability.kills import main\n{before}\nsys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, "--json", "--repeats", str(kills), "--commands", ",".join(commands)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)["rows"], done.stderr


def check(commands, kills):
    code, rows, said = kill(commands, kills)
    assert [row["command"] for row in rows] == commands
    for row in rows:
        assert row["kills"] == kills
        assert (row["lost"], row["wrong"], row["stray"]) == (0, 0, 0), said
    assert code == (0 if sum(row["at_work"] for row in rows) >= kills * len(commands) / 2 else 1)


def test_a_rendering_that_is_killed_and_given_again_leaves_what_it_would_have():
    check(["render"], 3)


@pytest.mark.slow
def test_every_command_that_is_killed_and_given_again_leaves_what_it_would_have():
    check(["index", "mix", "train", "separate", "evaluate", "query", "report"], 4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("import hiersep.files\nhiersep.files.sweep = lambda *a, **k: None", "stray"),
        ("import hiersep.render.run as r\nr.count_stems = lambda f, s: 0 if f.exists() else None", "lost"),
    ],
    ids=["nobody sweeps", "half a track is taken for a whole one"],
)
def test_the_harness_notices_what_is_wrong(fault, what):
    # Without `atomic_path`'s folder beside the place, a track is there before it is whole.
    unsafe = (
        "import contextlib, hiersep.render.multitrack as m\n"
        "m.atomic_path = lambda folder: contextlib.nullcontext((folder.parent.mkdir(exist_ok=True), folder)[1])"
    )
    code, (row,), said = kill(["render"], 8, before=fault if what == "stray" else f"{unsafe}\n{fault}")
    assert code == 1
    assert row[what] > 0, said


def test_trees_are_compared_but_for_what_tells_of_the_run(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, seconds in ((one, 1.0), (other, 2.0)):
        folder.mkdir()
        (folder / "training.json").write_text(json.dumps({"steps": 3, "seconds": seconds}))
        torch.save({"seconds": seconds, "state_dict": {"w": torch.ones(2)}}, folder / "last.ckpt")
        write(folder / "a.wav", noise(0.1), RATE)
    assert _trees.digests(one) == _trees.digests(other)
    (other / "training.json").write_text(json.dumps({"steps": 4, "seconds": 1.0}))
    torch.save(
        {"seconds": 1.0, "state_dict": {"w": torch.tensor([1.0, np.nextafter(np.float32(1), 2)])}}, other / "last.ckpt"
    )
    samples = bytearray((other / "a.wav").read_bytes())
    samples[-1] ^= 1
    (other / "a.wav").write_bytes(samples)
    before, after = _trees.digests(one), _trees.digests(other)
    assert [name for name in before if before[name] != after[name]] == ["a.wav", "last.ckpt", "training.json"]


def test_half_a_file_is_told_from_a_whole_one(tmp_path):
    (tmp_path / "out" / ".hiersep-part-abc").mkdir(parents=True)
    assert _trees.unfinished(_trees.names(tmp_path))
    assert not _trees.unfinished({"out/mix.wav": 3})


def test_pythons_own_look_whether_it_can_write_is_told_from_what_is_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with monkeypatch.context() as killed:
        killed.setattr(os, "unlink", lambda path: None)
        tempfile.gettempdir()
    (probe,) = tmp_path.iterdir()
    assert _trees.is_probe(probe)
    for name, content in {"a.safetensors": b"blat", probe.name.upper(): b"blat", "x" * 8: b"flat"}.items():
        (tmp_path / name).write_bytes(content)
        assert not _trees.is_probe(tmp_path / name)
