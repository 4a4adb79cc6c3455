"""From a checkpoint and a data set to what people look at and listen to: an example, and a page with the scores."""

from __future__ import annotations

import base64
import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hiersep import audio
from hiersep.errors import DataError
from hiersep.evaluation import HEADINGS, evaluate, notes, read_results, table_rows
from hiersep.evaluation.lines import SCORED
from hiersep.evaluation.run import make_plan
from hiersep.files import make_folder, write_text
from hiersep.plots import plot_path

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from hiersep.config import EvaluationConfig
    from hiersep.evaluation.run import Plan

PAGE_NAME = "report.html"


def run_evaluation(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    settings: EvaluationConfig | None = None,
    example: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    device: str | None = None,
) -> dict[str, Any]:
    """Evaluate a checkpoint into a folder, with an example to look at and listen to.

    What lies in `out` and `example` already for the same weights, data and settings is not made again.

    Args:
        model: The checkpoint.
        data: Data set with the splits ``train`` and, by default, ``test``.
        out: Folder for the results.
        settings: What to score.
        example: Folder for an example: the first clip in which the most nodes are scored.
        jobs: Processes; -1: one per core.
        device: Where the network runs; default: a GPU where there is one.

    Returns:
        The content of ``results.json``.

    Raises:
        CheckpointError: If the checkpoint cannot be loaded.
        DataError: If the data cannot be used or a folder not written to.
    """
    if example is not None:
        make_folder(example)  # found unwritable now and not after minutes of work
    evaluation = evaluate(model, data, settings, out=out, jobs=jobs, device=device)
    results = read_results(out)
    if results is None:
        raise DataError(f"{out}: the results were removed while they were written; run the same command again")
    if example is not None and results["key"] not in _page_text(Path(example)):
        scored = [line.clip for line in evaluation.lines if line.status == SCORED]
        best = max(sorted(set(scored)), key=scored.count, default=0)
        write_page(
            Path(example), write_example(Path(example), make_plan(model, data, settings, device=device), best), results
        )
    return results


def _page_text(folder: Path) -> str:
    path = folder / PAGE_NAME
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def write_example(folder: Path, plan: Plan, number: int) -> list[str]:
    """Separate one clip, and write what went in, what came out, what is true, and a picture.

    Writes ``mixture.wav``, ``NODE.wav``, ``reference/NODE.wav`` (16 bit) and ``path.png``; and ``query.wav``, where the
    network was given one.

    Returns:
        The nodes: all those of the clip that sound in it.
    """
    rate, item = plan.clips.catalog.sample_rate, plan.clips[number]
    batch = {name: tensor[None].to(plan.device) for name, tensor in item.items()}
    with torch.inference_mode():
        separation = plan.model.separate_batch(batch["mix"], plan.model.condition_of(batch))
        outputs = separation.waveforms()[0].cpu().numpy()
    mixture = item["mix"].numpy()
    estimates, references = {}, {}
    for node, output, source in zip(plan.clips.nodes(number), outputs, item["sources"].numpy(), strict=True):
        if source.any() and node not in estimates:
            estimates[node], references[node] = output, source
    audio.write(folder / "mixture.wav", mixture, rate)
    if "query" in item:
        audio.write(folder / "query.wav", item["query"].numpy(), rate)
    for node, estimate in estimates.items():
        audio.write(folder / f"{node}.wav", estimate, rate)
        audio.write(folder / "reference" / f"{node}.wav", references[node], rate)
    plot_path(folder / "path.png", mixture, references, estimates, rate)
    return list(estimates)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="hiersep-key" content="{key}">
<title>hiersep: a mixture taken apart</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
table {{ border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }}
th, td {{ padding: .3rem .7rem; border-bottom: 1px solid #ddd; text-align: left; }}
audio {{ width: 16rem; max-width: 100%; }} img {{ max-width: 100%; }}
</style></head><body>
<h1>A mixture taken apart, coarse to fine</h1>
<p>Mixture<br>{mixture}</p>{query}
<table><thead><tr><th>Level</th><th>Separated</th><th>True</th></tr></thead><tbody>{players}</tbody></table>
<img alt="Spectrograms of the mixture, and of every level as separated and as it truly is" src="{picture}">
<h2>Scores on held-out songs</h2>
<table><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table>
<p>{notes}</p>
<p>Model {model}, data {data}, commit {commit}.</p>
</body></html>
"""


def write_page(folder: Path, nodes: Sequence[str], results: Mapping[str, Any]) -> None:
    """Write ``report.html`` beside an example: players, picture and scores in one file that opens from disk."""
    players = [
        _row([html.escape(node), _player(folder / f"{node}.wav"), _player(folder / "reference" / f"{node}.wav")])
        for node in nodes
    ]
    query = folder / "query.wav"
    page = _PAGE.format(
        mixture=_player(folder / "mixture.wav"),
        query=f"<p>What is asked for<br>{_player(query)}</p>" if results["kind"] == "query" else "",
        players="\n".join(players),
        picture=_data_url(folder / "path.png", "image/png"),
        headings="".join(f"<th>{html.escape(heading)}</th>" for heading in HEADINGS),
        rows="\n".join(_row(map(html.escape, row)) for row in table_rows(results)),
        notes=" ".join(html.escape(line) for line in notes(results)),
        **{name: html.escape(str(results[name])) for name in ("model", "data", "commit", "key")},
    )
    write_text(folder / PAGE_NAME, page)


def _row(cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _player(path: Path) -> str:
    label = html.escape(f"{path.parent.name}/{path.stem}")
    return f'<audio controls preload="metadata" aria-label="{label}" src="{_data_url(path, "audio/wav")}"></audio>'


def _data_url(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
