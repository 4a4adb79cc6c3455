"""From a checkpoint and a data set to results that people read: scores, a table, a picture, a page to listen to."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiersep import audio
from hiersep.data.catalog import open_dataset
from hiersep.files import atomic_path, fingerprint, git_commit, make_folder, write_json

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from hiersep.config import EvaluationConfig
    from hiersep.data.dataset import HierarchicalMixtureDataset
    from hiersep.models.separator import MaskingSeparator

FORMAT = 1


def run_evaluation(
    model_path: str | os.PathLike[str],
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    settings: EvaluationConfig | None = None,
    example: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Evaluate a checkpoint and write ``scores.json``, ``clips.csv``, and an example to look at and listen to.

    What lies in `out` and `example` already for the same weights, data and settings is not computed again.

    Args:
        model_path: The checkpoint.
        data: Data set with the splits ``train`` and, by default, ``test``.
        out: Folder for the results.
        settings: What to score.
        example: Folder for an example: the first clip at which the most levels are scored.

    Returns:
        The content of ``scores.json``.

    Raises:
        CheckpointError: If the checkpoint cannot be loaded.
        DataError: If the data cannot be used or a folder not written to.
    """
    from hiersep.config import EvaluationConfig
    from hiersep.models.checkpoint import describe

    settings = settings or EvaluationConfig()
    model_path, out = Path(model_path), Path(out)
    arguments = describe(model_path)["arguments"]
    catalog = open_dataset(data, sample_rate=arguments["sample_rate"])
    weights = hashlib.sha256(model_path.read_bytes()).hexdigest()
    key = fingerprint([FORMAT, weights, catalog.key, settings.to_dict(), str(example)])
    scores_path = out / "scores.json"
    written = [out / "clips.csv"] if example is None else [out / "clips.csv", Path(example) / "report.html"]
    before = _read_scores(scores_path)
    if before is not None and before.get("key") == key and all(path.exists() for path in written):
        return before
    for path in (scores_path, *written):  # found unwritable now and not after minutes of work
        make_folder(path.parent)
    scores_path.unlink(missing_ok=True)
    started = time.monotonic()
    scores = _evaluate(model_path, data, out, settings, example)
    scores = {
        "format": FORMAT,
        **scores,
        "data": str(data),
        "model": str(model_path),
        "settings": settings.to_dict(),
        "seconds": round(time.monotonic() - started, 1),
        "commit": git_commit(Path(__file__).parent),
        "key": key,
    }
    if example is not None:
        write_page(Path(example), scores)
    write_json(scores_path, scores)
    return scores


def _read_scores(path: Path) -> dict[str, Any] | None:
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return scores if isinstance(scores, dict) else None


def _evaluate(
    model_path: Path,
    data: str | os.PathLike[str],
    out: Path,
    settings: EvaluationConfig,
    example: str | os.PathLike[str] | None,
) -> dict[str, Any]:
    from hiersep.evaluation import evaluate, test_set, write_clips
    from hiersep.models.checkpoint import from_pretrained

    model = from_pretrained(model_path)
    result = evaluate(model, data, settings)
    write_clips(out / "clips.csv", result.clips)
    if example is not None:
        dataset = test_set(model, data, settings)
        scored_levels = [0] * len(dataset)
        for position, clip in enumerate(result.clips):
            scored_levels[position // len(model.nodes)] += clip.status == "scored"
        write_example(Path(example), model, dataset, scored_levels.index(max(scored_levels)))
    return result.summary()


def write_example(folder: Path, model: MaskingSeparator, dataset: HierarchicalMixtureDataset, index: int) -> None:
    """Separate one item of a data set, and write what went in, what came out, what is true, and a picture.

    Writes ``mixture.wav``, ``NODE.wav``, ``reference/NODE.wav`` (16 bit) and ``path.png``.
    """
    from hiersep.plots import plot_path
    from hiersep.separation import HierarchicalSeparator

    item = dataset.process_item(index)
    rate = dataset.catalog.sample_rate
    estimates = HierarchicalSeparator(item["mix"], model).to_dict()
    audio.write(folder / "mixture.wav", item["mix"].audio_data, rate)
    for node, estimate in estimates.items():
        audio.write(folder / f"{node}.wav", estimate.audio_data, rate)
        audio.write(folder / "reference" / f"{node}.wav", item["sources"][node].audio_data, rate)
    references = {node: signal.audio_data for node, signal in item["sources"].items()}
    arrays = {node: signal.audio_data for node, signal in estimates.items()}
    plot_path(folder / "path.png", item["mix"].audio_data, references, arrays, rate)


_HEADINGS = ("level", "node", "mixture", "static", "network", "oracle", "improvement", "± std", "clips", "songs")


def table_rows(scores: Mapping[str, Any]) -> list[list[str]]:
    """Lay the scores out: one row per level, coarse to fine, and the mean of the levels; dB with one decimal.

    The level's number is the poster's, which counts from the target upward.
    """
    levels = scores["levels"]
    rows = []
    for position, (node, level) in enumerate(levels.items()):
        values = [level[name] for name in ("mixture", "static", "si_sdr", "oracle", "si_sdri", "si_sdri_std")]
        counts = [str(level["clips"]), str(level["songs"])]
        rows.append([str(len(levels) - position), node, *map(_decibels, values), *counts])
    means = []
    for name in ("mixture", "static", "si_sdr", "oracle", "si_sdri"):
        values = [level[name] for level in levels.values()]
        means.append(_decibels(None if None in values else sum(values) / len(values)))
    rows.append(["all", "mean of the levels", *means, "", "", ""])
    return rows


def _decibels(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def table(scores: Mapping[str, Any]) -> str:
    """Write the scores as a Markdown table with a line on what was counted apart.

    SI-SDR in dB; ``improvement`` is the network's over the mixture.
    """
    rows = [list(_HEADINGS), ["---"] * 2 + ["--:"] * (len(_HEADINGS) - 2), *table_rows(scores)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = []
    for row in rows:
        cells = [c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_apart(scores)])


def _apart(scores: Mapping[str, Any]) -> list[str]:
    lines = [
        f"SI-SDR in dB. Two adjacent levels are the same signal in {scores['identical_levels']:.0%} of the clips; "
        f"nothing is to separate in {scores['nothing_to_separate']:.0%}."
    ]
    for node, level in scores["levels"].items():
        if level["counted_apart"]:
            reasons = ", ".join(f"{count} {reason}" for reason, count in level["counted_apart"].items())
            lines.append(f"Counted apart at {node}: {reasons}.")
    return lines


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>hiersep: a mixture taken apart</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
table {{ border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }}
th, td {{ padding: .3rem .7rem; border-bottom: 1px solid #ddd; text-align: left; }}
audio {{ width: 16rem; max-width: 100%; }} img {{ max-width: 100%; }}
</style></head><body>
<h1>A mixture taken apart, coarse to fine</h1>
<p>Mixture<br>{mixture}</p>
<table><thead><tr><th>Level</th><th>Separated</th><th>True</th></tr></thead><tbody>{players}</tbody></table>
<img alt="Spectrograms of the mixture, and of every level as separated and as it truly is" src="{picture}">
<h2>Scores on held-out songs</h2>
<table><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table>
<p>{notes}</p>
<p>Model {model}, data {data}, commit {commit}.</p>
</body></html>
"""


def write_page(folder: Path, scores: Mapping[str, Any]) -> None:
    """Write ``report.html`` beside an example: players, picture and scores in one file that opens from disk."""
    players = [
        _row([html.escape(node), _player(folder / f"{node}.wav"), _player(folder / "reference" / f"{node}.wav")])
        for node in scores["levels"]
    ]
    page = _PAGE.format(
        mixture=_player(folder / "mixture.wav"),
        players="\n".join(players),
        picture=_data_url(folder / "path.png", "image/png"),
        headings="".join(f"<th>{html.escape(heading)}</th>" for heading in _HEADINGS),
        rows="\n".join(_row(map(html.escape, row)) for row in table_rows(scores)),
        notes=" ".join(html.escape(line) for line in _apart(scores)),
        **{name: html.escape(str(scores[name])) for name in ("model", "data", "commit")},
    )
    with atomic_path(folder / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")


def _row(cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _player(path: Path) -> str:
    label = html.escape(f"{path.parent.name}/{path.stem}")
    return f'<audio controls preload="metadata" aria-label="{label}" src="{_data_url(path, "audio/wav")}"></audio>'


def _data_url(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
