"""Print the tables of the paper's experiments with the published figures, and say which of its orderings hold.

Usage: python recipes/slakh/tables.py EXP_ROOT [FILE.md ...]

EXP_ROOT holds the runs of `run.sh`, NAME-SEED each; what is missing is left out of the tables. Every FILE.md has the
text put in its place ``<!-- begin EXP_ROOT's name table -->``.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hiersep import strict_yaml
from hiersep.cli.command import run_script
from hiersep.errors import DataError
from hiersep.evaluation import compare, read_results
from hiersep.evaluation.documents import fill_place, read_origin, say_origin
from hiersep.evaluation.tables import decibels, markdown, percent

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = {"sss": "SSS, the path of clean guitars", "qbe": "QBE, any class by an example"}
PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")  # of SSS
LEVELS = 3
NO_WORSE_DB = 0.2  # "does not hurt": the interval lies above minus this
WANTED_DB = 1.5  # what the band-split network shall gain over the BLSTM at every level
KEPT = {"sss": 0.9, "qbe": 0.8}  # of the improvement, where 90 % of the target's labels are missing
WIDEST = 1.0  # an interval of the share kept that says nothing any more
TITLES = {
    1: "Experiment 1: does the hierarchical constraint help?",
    2: "Experiment 2: one network for all levels, or one for each?",
    3: "Experiment 3: are the labels of the target needed?",
    4: "Beyond the paper",
}
PAPERS = 3  # experiments
ROWS = {  # name of the runs, without the kind: what it is, by experiment
    1: {"multi": "with the constraint", "multi_none": "without"},
    2: {"multi": "multi-level", "single": "single-level, three networks"},
    3: {
        "multi": "all data",
        "multi_all50": "50 % removed, all of it",
        "multi_leaf50": "50 % removed, the target's labels",
        "multi_all90": "90 % removed, all of it",
        "multi_leaf90": "90 % removed, the target's labels",
    },
    4: {
        "multi": "the paper's network, a path",
        "tree": "the tree of all nodes",
        "equal_blstm": "BLSTM of as many parameters as the next",
        "equal_bands": "band-split transformer",
        "peer": "ConvTasNet of asteroid, flat",
    },
}


class Claim(NamedTuple):
    """Something that the paper finds, or the project wants: of two rows, what shall hold of the second over the first.

    Attributes:
        experiment: Its number.
        text: The finding.
        first: Name of a row.
        second: Name of the other.
        judge: Makes a verdict of what `compare` gives, and of the kind.
    """

    experiment: int
    text: str
    first: str
    second: str
    judge: Callable[[dict[str, Any], str], str]


def no_worse(found: dict[str, Any], kind: str) -> str:
    """Judge whether the second is better or nearly as good, over all levels."""
    return _no_worse(found["whole"])


def no_worse_at_target(found: dict[str, Any], kind: str) -> str:
    """Judge whether the second is better or nearly as good at the target's level."""
    result = next((level for level in found["levels"].values() if level["number"] == 1), None)  # the finest
    if result is None or result["low"] is None:
        return "not decided: at the target both have scored clips of one song, or of none"
    return f"{_no_worse(result)} at the target"


def _no_worse(result: dict[str, Any]) -> str:
    better, worse = result["low"] > -NO_WORSE_DB, result["high"] < -NO_WORSE_DB
    word = "holds" if better else "does not hold" if worse else "not decided"
    return f"{word}: {_difference(result)}"


def better(found: dict[str, Any], kind: str) -> str:
    """Judge whether the second is better over all levels."""
    result = found["whole"]
    word = "holds" if result["low"] > 0 else "does not hold" if result["high"] < 0 else "not decided"
    return f"{word}: {_difference(result)}"


def better_everywhere(found: dict[str, Any], kind: str) -> str:
    """Judge whether the second is better at every level by what is wanted."""
    results = found["levels"]
    holds = all(result["difference"] >= WANTED_DB for result in results.values())
    parts = ", ".join(f"{_difference(result)} at {level}" for level, result in results.items())
    return f"{'holds' if holds else 'does not hold'} ({WANTED_DB} dB wanted at every level): {parts}"


def keeps(found: dict[str, Any], kind: str) -> str:
    """Judge whether the second keeps its share of the first's improvement."""
    result, wanted = found["whole"], KEPT[kind]
    if result["kept"] is None or result["kept_low"] is None:
        return "not decided: the network on all data does not improve on the mixture"
    word = "holds" if result["kept"] >= wanted else "does not hold"
    sure = "" if result["kept_low"] >= wanted or result["kept_high"] < wanted else ", though not beyond the interval"
    if result["kept_high"] - result["kept_low"] > WIDEST:
        word, sure = "not decided", ", as the network on all data improves too little to be compared with"
    kept, low, high = (percent(result[key]) for key in ("kept", "kept_low", "kept_high"))
    return f"{word} ({percent(wanted)} wanted){sure}: {kept} kept ({low} to {high})"


CLAIMS = (
    Claim(1, "the constraint helps or does not hurt", "multi_none", "multi", no_worse),
    Claim(2, "multi-level at least equals single-level at the target", "single", "multi", no_worse_at_target),
    Claim(2, "multi-level at least equals single-level over all levels", "single", "multi", no_worse),
    Claim(3, "with 90 % of the target's labels missing most is kept", "multi", "multi_leaf90", keeps),
    Claim(3, "that is above 90 % of all data missing", "multi_all90", "multi_leaf90", better),
    Claim(3, "with 50 % of the target's labels missing it is above 50 % of all", "multi_all50", "multi_leaf50", better),
    Claim(
        4, "the band-split network is above the BLSTM of equal size", "equal_blstm", "equal_bands", better_everywhere
    ),
    Claim(4, "the path network is above the flat peer", "peer", "multi", better),
    Claim(4, "the tree is no worse than the path", "multi", "tree", no_worse),
)


class Runs:
    """The runs of a folder, by row and seed.

    Args:
        root: Folder of the runs.
    """

    def __init__(self, root: Path):
        found = [path.parent for path in sorted(root.glob("*-*/results.json"))]
        self.folders: dict[str, dict[str, Path]] = {}
        for folder in found:
            name, _, seed = folder.name.rpartition("-")
            self.folders.setdefault(name, {})[seed] = folder
        if not found:
            raise DataError(f"{root}: expected runs with scores (NAME-SEED/results.json), got none; run run.sh first")

    def of(self, row: str) -> dict[str, list[Path]]:
        """Folders of a row by seed: one, or of single-level networks one per level; none where a level is missing."""
        names = [row] if not row.endswith("_single") else [f"{row}_level{n}" for n in range(LEVELS, 0, -1)]
        seeds = set.intersection(*(set(self.folders.get(name, {})) for name in names))
        return {seed: [self.folders[name][seed] for name in names] for seed in sorted(seeds)}

    def all(self, row: str) -> list[Path]:
        """All folders of a row."""
        return [folder for folders in self.of(row).values() for folder in folders]


@functools.cache
def results_of(folder: Path) -> dict[str, Any]:
    """Read the results of a run."""
    return read_results(folder) or {}


def groups(folders: list[Path]) -> list[dict[str, Any]]:
    """Figures of every level, coarse to fine, whichever of the folders has them; of SSS those of the path's nodes."""
    found: dict[str, dict[str, Any]] = {}
    for folder in folders:
        results = results_of(folder)
        found.update(results["levels"] if results["kind"] == "query" else results["nodes"])
    return [found[node] for node in PATH] if PATH[-1] in found else list(found.values())


def figures(folders: list[Path], figure: str) -> list[float]:
    """Mean of a figure in dB at every level, coarse to fine, and before them the mean of these."""
    means = [np.nan if group[figure] is None else group[figure]["mean"] for group in groups(folders)]
    return [float(np.mean(means)), *means]


def main(exp_root: str, *files: str) -> None:
    runs = Runs(Path(exp_root))
    published = {name: list(row) for name, row in strict_yaml.read(Path(__file__).with_name("published.yml")).items()}
    parts = [part for number in TITLES for part in experiment(runs, number, published)]
    origins = [read_origin(folder) for seeds in runs.folders.values() for folder in seeds.values()]
    parts.append(
        "Improvement in SI-SDR over the mixture in dB, means over the scored clips and the seeds; ± is over seeds. "
        "Intervals: 95 %, paired bootstrap over the songs of the clips that both have scored, after the mean over "
        f"seeds. {say_origin(origins)}"
    )
    text = "\n\n".join(parts)
    print(text)
    for file in files:
        if fill_place(file, Path(exp_root).name, text):
            print(f"Written: {file}")


def experiment(runs: Runs, number: int, published: dict[str, list[float]]) -> list[str]:
    """Write an experiment's tables, one for each kind, with its findings; nothing where there is nothing to compare."""
    parts = []
    for kind, title in KINDS.items():
        rows = {row: text for row, text in ROWS[number].items() if runs.of(f"{kind}_{row}")}
        if len(rows) > 1:
            theirs = published if number <= PAPERS else {}
            parts += [f"**{title}**", table(runs, kind, rows, theirs), findings(runs, number, kind)]
    return [f"### {TITLES[number]}", *filter(None, parts)] if parts else []


def table(runs: Runs, kind: str, rows: dict[str, str], published: dict[str, list[float]]) -> str:
    """Write the rows of one kind, with those that need no network: the mixture, the static mask, the oracle."""
    known = bool(published)
    numbers = ["all", *(f"level {n}" for n in range(LEVELS, 0, -1))]
    headings = [kind.upper(), *numbers, "± all", "seeds", *(f"published {n}" for n in numbers if known)]
    lines = [headings]
    for row, text in rows.items():
        seeds = [figures(folders, "si_sdri") for folders in runs.of(f"{kind}_{row}").values()]
        means, deviation = np.mean(seeds, axis=0), np.std([seed[0] for seed in seeds], ddof=1) if seeds[1:] else None
        cells = [*map(_cell, means), _cell(deviation), str(len(seeds))]
        lines.append([text, *cells, *_published(published.get(f"{kind}_{row}"), known)])
    first = next(iter(runs.of(f"{kind}_{next(iter(rows))}").values()))
    mixture = figures(first, "mixture")
    for name in ("static", "oracle"):
        gains = [value - base for value, base in zip(figures(first, name), mixture, strict=True)]
        lines.append([_FIXED[name], *map(_cell, gains), "", "", *_published(None, known)])
    lines.append(
        ["mixture, its own SI-SDR", *map(_cell, mixture), "", "", *_published(published.get(f"{kind}_mixture"), known)]
    )
    clips = ", ".join(str(group["clips"]) for group in groups(first))
    songs = max(group["songs"] for group in groups(first))
    return f"{markdown(lines, texts=1)}\n\nScored clips at levels 3, 2, 1: {clips}, of {songs} songs."


_FIXED = {"static": "static mask, no network", "oracle": "oracle, the truncated phase-sensitive mask"}


def _published(row: list[float] | None, known: bool) -> list[str]:
    return [""] * (LEVELS + 1) * known if row is None else list(map(decibels, row)) * known


def _cell(value: float | None) -> str:
    return "-" if value is None or np.isnan(value) else decibels(float(value))


def findings(runs: Runs, number: int, kind: str) -> str:
    """Say of every finding of an experiment whether it holds."""
    lines = []
    for claim in CLAIMS:
        sides = [runs.all(f"{kind}_{name}") for name in (claim.first, claim.second)]
        if claim.experiment == number and all(sides):
            found = compare(*sides)
            sure = found["whole"]["low"] is not None
            verdict = claim.judge(found, kind) if sure else "not decided: the clips are of one song"
            lines.append(f"- *{claim.text}*: {verdict}.")
    return "\n".join(lines)


def _difference(result: dict[str, Any]) -> str:
    interval = "of one song" if result["low"] is None else f"{result['low']:+.2f} to {result['high']:+.2f}"
    return f"{result['difference']:+.2f} dB ({interval})"


if __name__ == "__main__":
    run_script(main)
