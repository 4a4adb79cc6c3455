"""A small data set, networks and songs, every command that writes, and what is compared of what they wrote."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.reliability import _trees

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
PATIENCE_S = 600.0  # longer is a hang
RATE = "8000"
CONF = """
data: {{folder: {data}, target: clean_guitars, duration: 1.0, num_train: 24, num_validation: 4, sample_rate: {rate}}}
spectrum: {{n_fft: 256, hop_length: 128}}
network: {{hidden_size: 8, num_layers: 1, dropout: 0.2}}
training: {{batch_size: 2, max_epochs: 3, num_workers: 2, save_every: 2, device: cpu}}
"""
COMMANDS = ("render", "index", "index --store", "mix", "train", "separate", "query", "evaluate", "report")
PARALLEL = ("render", "index", "index --store", "mix", "evaluate")  # that take --jobs
TOLD = ("environment.json", "last.ckpt")  # they tell when and where, and so differ by right
_NOT_COMPARED = ("tensorboard", "journal-")


class Said(NamedTuple):
    """How a run ended: its exit code (None: it did not, in `PATIENCE_S`), and its standard error."""

    code: int | None
    error: str

    @property
    def line(self) -> str:
        """The last line of error or of warning; empty where there is none."""
        lines = [line for line in self.error.splitlines() if line.startswith(("hiersep: error", "hiersep: warning"))]
        return lines[-1].removeprefix("hiersep: ") if lines else ""

    @property
    def traceback(self) -> bool:
        """Whether something was said that no user should read."""
        return "Traceback" in self.error

    @property
    def one_line(self) -> bool:
        """Whether there is exactly one line of error."""
        return sum(line.startswith("hiersep: error") for line in self.error.splitlines()) == 1


@dataclass(frozen=True)
class Workplace:
    """A folder with all that the commands read.

    Attributes:
        folder: Where all lies.
        out: Where a command writes; always the same place, which some files name.
    """

    folder: Path
    out: Path

    @property
    def data(self) -> Path:
        """The data set."""
        return self.folder / "data"

    def words(self, command: str, *, data: Path | None = None, jobs: int = 1) -> list[str]:
        """Words of a command that writes into `out`."""
        data, out, song = data or self.data, str(self.out), str(self.folder / "song.wav")
        cpu, many = ["--device", "cpu"], ["--jobs", str(jobs)]
        words = {
            "render": ["render", out, "--tracks", "4", "--seed", "3", "--duration", "4", "--sample-rate", RATE,
                       "--splits", "0.5/0.25/0.25"],
            "index": ["index", str(data), "--sample-rate", RATE],
            "index --store": ["index", str(data), "--sample-rate", RATE, "--store"],
            "mix": ["mix", str(data), "--hierarchy", "slakh_ismir2020", "--num", "40", "--duration", "1",
                    "--sample-rate", RATE, "--format", "flac", "--out", out],
            "train": ["train", str(self.folder / "conf.yml"), "--exp-dir", out, "--data.folder", str(data)],
            "separate": ["separate", song, "--model", str(FIXTURES / "path.safetensors"), "--out", out, *cpu],
            "separate, shipped": ["separate", song, "--model", "guitar-path", "--out", out, *cpu],
            "query": ["query", song, "--like", "0:00-0:02", "--model", str(FIXTURES / "query.safetensors"), "--out",
                      out, *cpu],
            "evaluate": ["evaluate", str(FIXTURES / "path.safetensors"), "--data", str(data), "--out", out, "--num",
                         "40", "--batch-size", "1", "--static-clips", "2", "--duration", "1", *cpu],
            "report": ["report", song, str(self.folder / "stems" / "song"), "--out", str(self.out / "report.html")],
        }[command]  # fmt: skip
        return [*words, *(many if command in PARALLEL else [])]

    def environment(self, command: str, **more: str) -> dict[str, str]:
        """Environment of a command; an index is written into the cache, which then is `out`."""
        cache = self.out if command.startswith("index") else self.folder / "cache"
        return {**os.environ, "OMP_NUM_THREADS": "1", "HIERSEP_CACHE": str(cache), "PYTHONPATH": str(ROOT), **more}

    def start(
        self, command: str, *extra: str, data: Path | None = None, jobs: int = 1, **more: str
    ) -> subprocess.Popen[str]:
        """Start a command, with extra words and environment, in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "hiersep", *self.words(command, data=data, jobs=jobs), *extra],
            cwd=self.folder, env=self.environment(command, **more), start_new_session=True, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, command: str, *extra: str, data: Path | None = None, jobs: int = 1, **more: str) -> Said:
        """Run a command to its end."""
        return end(self.start(command, *extra, data=data, jobs=jobs, **more))

    def clear(self) -> None:
        """Remove what was written, but not `out` itself, which may be a disk."""
        self.out.mkdir(exist_ok=True)
        for path in self.out.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def contents(self) -> dict[str, str]:
        """Digests of what was written, by name, but for what tells of time and place."""
        files = (path for path in sorted(self.out.rglob("*")) if path.is_file())
        names = {str(path.relative_to(self.out)): path for path in files}
        return {
            name: _trees.digest(path)
            for name, path in names.items()
            if path.name not in TOLD and not any(part in name for part in _NOT_COMPARED)
        }

    def undisturbed(self, command: str, *extra: str, jobs: int = 1, **more: str) -> dict[str, str]:
        """Contents of `out` after an undisturbed run."""
        self.clear()
        said = self.run(command, *extra, jobs=jobs, **more)
        if said.code != 0:
            raise RuntimeError(f"{command}: the undisturbed run ended with {said.code}: {said.error}")
        return self.contents()


def half_written(there: Mapping[str, str], whole: Mapping[str, str], *, of_the_end: Callable[[str], bool]) -> list[str]:
    """List what a disturbed run should not have left.

    Args:
        there: What it left.
        whole: What an undisturbed run leaves.
        of_the_end: Whether a file is still to change until the end; then it is not judged.
    """
    other = [name for name in there if name in whole and there[name] != whole[name] and not of_the_end(name)]
    return _trees.unfinished(there) + other


def end(process: subprocess.Popen[str]) -> Said:
    """Wait for a process; end it, and what it started, after `PATIENCE_S`."""
    try:
        _, error = process.communicate(timeout=PATIENCE_S)
        return Said(process.returncode, error)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return Said(None, process.communicate()[1])


def wait_until(true: Callable[[], object], process: subprocess.Popen[str]) -> bool:
    """Wait until something holds; give False where the process ended before, or it took too long."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if process.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@contextlib.contextmanager
def workplace() -> Iterator[Workplace]:
    """Make a workplace, and remove it at the end."""
    import soundfile

    with tempfile.TemporaryDirectory(prefix="hiersep-reliability-") as scratch:
        place = Workplace(Path(scratch), Path(scratch) / "out")
        place.out.mkdir()
        (place.folder / "conf.yml").write_text(CONF.format(data=place.data, rate=RATE))
        made = Workplace(place.folder, place.data)
        words = ["--tracks", "6", "--seed", "25", "--duration", "6", "--splits", "0.5/0.17/0.33", "--format", "wav"]
        _need(made, ["render", str(made.data), *words, "--sample-rate", RATE, "--jobs", "1"])
        mixture, rate = soundfile.read(next(place.data.glob("test/*/mix.wav")))
        soundfile.write(place.folder / "song.wav", mixture, rate, "FLOAT")
        _need(place, ["separate", str(place.folder / "song.wav"), "--model", str(FIXTURES / "path.safetensors"),
                      "--out", str(place.folder / "stems"), "--device", "cpu"])  # fmt: skip
        yield place


def _need(place: Workplace, words: list[str]) -> None:
    command = [sys.executable, "-m", "hiersep", *words]
    subprocess.run(command, env=place.environment("render"), cwd=place.folder, check=True, capture_output=True)
