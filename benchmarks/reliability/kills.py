"""Commands killed at random moments, and whether the same command then ends as if nothing had been.

Every command runs once undisturbed: what it leaves is what it shall leave. Then it is killed, with all of its workers,
and given again: after one kill, or two or three in a row. Two kills in three come in the moment before a call that
changes the file system, any of them with the same chance; one in three at any time between the first such call and the
end. Where a command can have workers, one kill in ten finds it with two.

Three promises: a rerun ends with exit code 0 and without a traceback; every file that it leaves is as without the kill
(`_trees` says what is left aside); and nothing else is left, in the folders of results, of the cache and of temporary
files.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before NumPy is there

from benchmarks._report import Bar, run
from benchmarks.reliability import _killing, _trees
from benchmarks.reliability._killing import CACHE, TEMPORARY, Command

if TYPE_CHECKING:
    from collections.abc import Sequence

SEED = 588
PATIENCE_S = 3600.0  # for a command that nobody disturbs
SHARED_MEMORY = Path("/dev/shm")
FIXTURES = Path(__file__).parents[2] / "tests" / "fixtures"

EXPERIMENT = """
data: {folder: ../inputs/data, target: clean_guitars, duration: 0.5, num_train: 9, num_validation: 2}
spectrum: {n_fft: 256, hop_length: 128}
network: {hidden_size: 8, num_layers: 2, dropout: 0.3}
training: {batch_size: 2, num_workers: 1, device: cpu, max_epochs: 3, save_every: 2, learning_rate: 0.01,
           clip_percentile: 50, tensorboard: false}
"""


@dataclass(frozen=True)
class Scenario:
    """A command as it is tried.

    Attributes:
        words: Its command line, in a folder beside ``inputs``.
        module: What takes it so long to import, at the bottom of all.
        parallel: What is said as well to have two workers; nothing: it has none, or always.
        measured: Whether the data set was measured before.
    """

    words: Sequence[str]
    module: str
    parallel: Sequence[str] = ()
    measured: bool = True


_DATA, _SONG, _OUT = "../inputs/data", "../inputs/song.wav", ["--out", "out", "--device", "cpu"]
_SONGS = ["--tracks", "6", "--seed", "25", "--duration", "15", "--splits", "0.5/0.17/0.33", "--format", "wav"]
_MIX = [_DATA, "--hierarchy", "slakh_ismir2020", "--target", "clean_guitars", "--num", "6", "--duration", "0.5"]
_SCORE = ["--data", _DATA, "--num", "8", "--static-clips", "2", "--duration", "1", "--batch-size", "1"]
_NETWORK, _QUERY = "../inputs/path.safetensors", "../inputs/query.safetensors"
SCENARIOS = {
    "render": Scenario(
        ["render", "out", "--tracks", "3", "--duration", "3", "--seed", "1", "--jobs", "1"],
        "hiersep.render",
        ["--jobs", "2"],
        measured=False,
    ),
    "index": Scenario(
        ["index", _DATA, "--store", "--jobs", "1"], "hiersep.data.catalog", ["--jobs", "2"], measured=False
    ),
    "mix": Scenario(["mix", *_MIX, "--out", "out", "--jobs", "1"], "hiersep.data.writing", ["--jobs", "2"]),
    "train": Scenario(["train", "../inputs/conf.yml", "--exp-dir", "out"], "hiersep.training.loop"),
    "separate": Scenario(
        ["separate", _SONG, "../inputs/other.m4a", "--residual", "--model", _NETWORK, *_OUT], "hiersep.models.loading"
    ),
    "evaluate": Scenario(
        ["evaluate", _NETWORK, *_SCORE, *_OUT, "--example", "out/example", "--jobs", "1"],
        "hiersep.report",
        ["--jobs", "2"],
    ),
    "query": Scenario(["query", _SONG, "--like", "0:01-0:03", "--model", _QUERY, *_OUT], "hiersep.models.loading"),
    "report": Scenario(["report", _SONG, "../inputs/stems/song", "--out", "out/report.html"], "hiersep.report"),
}


class Undisturbed(NamedTuple):
    """A run without a kill: what it left, how long it took, and its calls that changed the file system."""

    tree: dict[str, str]
    seconds: float
    first_s: float
    calls: int


@dataclass
class Tally:
    """What became of a command's kills, and of the reruns.

    Attributes:
        kills: How many.
        at_work: How many came when something had been written, and not all.
        half: How many left a file half written.
        reruns: After one kill, or several in a row.
        lost: Reruns that failed, or left a file out.
        wrong: Reruns that left a file that is another.
        stray: Reruns that left a file, or a folder, too much.
        others: What was left that is not hiersep's, and is not stray: by joblib empty folders and locks in shared
            memory, which a process removes that was killed as well; by Python's tempfile a file of four bytes.
        faults: What was lost, wrong or stray.
    """

    kills: int = 0
    at_work: int = 0
    half: int = 0
    reruns: int = 0
    lost: int = 0
    wrong: int = 0
    stray: int = 0
    others: int = 0
    faults: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, int]:
        """The numbers."""
        return {key: value for key, value in asdict(self).items() if key != "faults"}


class Trial:
    """A command that is killed, and given again, in a folder.

    Args:
        name: Of the scenario.
        place: Holds ``inputs``, and a cache in which they are measured.
        rng: Draws the moments.
    """

    def __init__(self, name: str, place: Path, rng: random.Random):
        self._scenario, self._place, self._rng = SCENARIOS[name], place, rng
        self._home = place / "home"
        self.tally = Tally()
        first = self._undisturbed()  # and what it imports, no other run needs to
        self._aim = self._undisturbed()
        self._whole = _trees.names(self._home)
        if first.tree != self._aim.tree:
            other = sorted({path for path, _ in first.tree.items() ^ self._aim.tree.items()})
            raise RuntimeError(f"{name}: expected the same of two runs without a kill, got other {other}")

    def _undisturbed(self) -> Undisturbed:
        self._fresh()
        command = _do(self._scenario.words, self._home)
        command.forget()
        notes = command.notes()
        _killing.load(notes["modules"])
        return Undisturbed(_trees.digests(self._home), command.seconds, notes["first_s"], notes["calls"])

    def _fresh(self) -> None:
        """Begin where nothing has been done."""
        shutil.rmtree(self._home, ignore_errors=True)
        for name in (CACHE, TEMPORARY):
            (self._home / name).mkdir(parents=True)
        if self._scenario.measured:
            shutil.copytree(self._place / "measured", self._home / CACHE, dirs_exist_ok=True)

    def go(self, kills: int) -> None:
        """Kill the command so many times."""
        for _ in range(10 * kills):
            if self.tally.kills >= kills:
                return
            self._fresh()
            in_a_row = min(self._rng.choice((1, 1, 1, 1, 2, 3)), kills - self.tally.kills)
            killed = [pid for _ in range(in_a_row) if (pid := self._kill()) is not None]
            if killed:
                self._run_again(killed)
        raise RuntimeError(f"{self._scenario.words[0]}: expected {kills} kills, got {self.tally.kills}")

    def _kill(self) -> int | None:
        """Kill it once, if it does not end before; give the number of the process."""
        before = _trees.names(self._home)
        aim, words = self._aim, list(self._scenario.words)
        if self._scenario.parallel and self._rng.random() < 0.1:
            words += self._scenario.parallel
        if self._rng.random() < 2 / 3:
            command = Command(words, self._home, deadly=self._rng.randint(1, aim.calls))
            command.wait(PATIENCE_S)
        else:
            command = Command(words, self._home)
            command.wait(self._rng.uniform(aim.first_s, aim.seconds))
        command.kill()
        if command.code != -signal.SIGKILL:
            self._check_end(command)
            return None
        self.tally.kills += 1
        after = _trees.names(self._home)
        self.tally.at_work += after not in (before, self._whole)
        self.tally.half += bool(_trees.unfinished(after))
        return command.pid

    def _check_end(self, command: Command) -> bool:
        """Say whether it ended as it should, and note it otherwise."""
        said = command.said()
        command.forget()
        if command.code == 0 and "Traceback" not in said:
            return True
        self.tally.faults.append(f"exit code {command.code}: {said[-2000:]}")
        self.tally.lost += 1
        return False

    def _run_again(self, killed: Sequence[int]) -> None:
        """Let it end, and compare what it leaves."""
        tally, command = self.tally, Command(self._scenario.words, self._home)
        command.wait(PATIENCE_S)
        command.kill()
        tally.reruns += 1
        if not self._check_end(command):
            return
        tally.others += _clear_what_others_left(killed, self._home / TEMPORARY)
        tree, aim = _trees.digests(self._home), self._aim.tree
        missing = sorted(aim.keys() - tree.keys())
        differing = sorted(path for path in aim if tree.get(path, aim[path]) != aim[path])
        strays = sorted(tree.keys() - aim.keys())
        tally.lost += bool(missing)
        tally.wrong += bool(differing)
        tally.stray += bool(strays)
        if missing or differing or strays:
            tally.faults.append(f"missing: {missing}; other: {differing}; stray: {strays}")


def _clear_what_others_left(processes: Sequence[int], temporary: Path) -> int:
    """Remove what joblib and Python left for killed processes; count the processes and the probes."""
    left = [list(SHARED_MEMORY.glob(f"*[-_]{number}[-_]*")) for number in processes]
    left += [[path] for path in temporary.iterdir() if _trees.is_probe(path)]
    for path in (path for paths in left for path in paths):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return sum(map(bool, left))


def prepare(place: Path, names: Sequence[str]) -> None:
    """Make what the commands of these scenarios read: songs, and a mixture with what it was taken apart into."""
    inputs, home = place / "inputs", place / "home"
    for folder in (inputs, home / CACHE, home / TEMPORARY):
        folder.mkdir(parents=True)
    if set(names) == {"render"}:
        return
    (inputs / "conf.yml").write_text(EXPERIMENT, encoding="utf-8")
    for name in (_NETWORK, _QUERY):
        shutil.copy(FIXTURES / Path(name).name, inputs)
    _do(["render", _DATA, *_SONGS, "--jobs", "1"], home)
    _do(["index", _DATA, "--jobs", "1"], home)
    shutil.move(home / CACHE, place / "measured")
    mixture = next((inputs / "data" / "test").glob("*/mix.wav"))
    shutil.copy(mixture, inputs / "song.wav")
    subprocess.run(["ffmpeg", "-v", "error", "-i", mixture, inputs / "other.m4a"], check=True)
    if "report" in names:
        (home / CACHE).mkdir()
        _do(["separate", _SONG, "--model", _NETWORK, "--device", "cpu", "--out", "../inputs/stems"], home)


def _do(words: Sequence[str], home: Path) -> Command:
    """Run a command that nobody disturbs.

    Raises:
        RuntimeError: If it fails.
    """
    command = Command(words, home)
    command.wait(PATIENCE_S)
    if command.code != 0:
        command.kill()
        raise RuntimeError(
            f"{words[0]}: expected an exit code of 0 without a kill, got {command.code}:\n{command.said()}"
        )
    return command


def measure(kills: int, names: Sequence[str]):
    _killing.load(["hiersep.cli", "joblib.externals.loky", *(SCENARIOS[name].module for name in names)])
    place = Path(tempfile.mkdtemp(prefix="hiersep-kills-"))  # no context manager, which each fork would end
    rows = []
    try:
        prepare(place, names)
        for name in names:
            trial = Trial(name, place, random.Random(f"{SEED} {name}"))
            trial.go(kills)
            rows.append({"command": name, **trial.tally.to_dict()})
            print(rows[-1], *trial.tally.faults, sep="\n", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    total = {key: sum(row[key] for row in rows) for key in rows[0] if key != "command"}
    bars = [Bar(f"{key}, over all commands", float(total[key]), "<= 0") for key in ("lost", "wrong", "stray")]
    bars.append(
        Bar("share of the kills that found a command amid its work", total["at_work"] / total["kills"], ">= 0.5")
    )
    return rows, bars


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--commands", default=",".join(SCENARIOS))
    options, others = parser.parse_known_args(arguments)
    about = "Kill commands, and run them again. Also: --commands NAMES, separated by commas (default: all)."
    names = options.commands.split(",")
    return run(about, lambda kills: measure(kills, names), repeats=50, arguments=others)


if __name__ == "__main__":
    sys.exit(main())
