"""From a checkpoint and a data set to what people look at and listen to: an example, and a page with the scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hiersep import audio
from hiersep.errors import DataError
from hiersep.evaluation import evaluate, read_results
from hiersep.evaluation.lines import SCORED
from hiersep.evaluation.run import make_plan
from hiersep.files import begin_folder
from hiersep.plots import plot_path
from hiersep.report.page import PAGE_NAME, Truth, write_report

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from hiersep.config import EvaluationConfig
    from hiersep.evaluation.run import Plan
    from hiersep.models.separator import Separator


def run_evaluation(
    model: Separator | str | os.PathLike[str] | Sequence[Any],
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    settings: EvaluationConfig | None = None,
    example: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    device: str | None = None,
) -> dict[str, Any]:
    """Evaluate a separator into a folder, with an example to look at and listen to.

    What lies in `out` and `example` already for the same weights, data and settings is not made again.

    Args:
        model: As `hiersep.evaluation.evaluate`.
        data: Data set with the splits ``train`` and, by default, ``test``.
        out: Folder for the results.
        settings: What to score.
        example: Folder for an example: the first clip in which the most nodes are scored.
        jobs: Processes; -1: one per core.
        device: Where the network runs; default: a GPU where there is one.

    Returns:
        The content of ``results.json``.

    Raises:
        CheckpointError: If a checkpoint cannot be loaded.
        ConfigError: As `hiersep.evaluation.evaluate`.
        DataError: If the data cannot be used or a folder not written to.
    """
    if example is not None:
        begin_folder(example)  # found unwritable now and not after minutes of work
    evaluation = evaluate(model, data, settings, out=out, jobs=jobs, device=device)
    results = read_results(out)
    if results is None:
        raise DataError(f"{out}: the results were removed while they were written; run the same command again")
    if example is not None and results["key"] not in _page_head(Path(example)):
        scored = [line.clip for line in evaluation.lines if line.status == SCORED]
        best = max(sorted(set(scored)), key=scored.count, default=0)
        _show_example(Path(example), make_plan(model, data, settings, device=device), best, results)
    return results


def _page_head(folder: Path) -> str:
    """Read of the page in a folder, if there is one, what comes before its sounds."""
    path = folder / PAGE_NAME
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8") as file:
        return file.read(1000)


def _show_example(folder: Path, plan: Plan, number: int, results: Mapping[str, Any]) -> None:
    nodes = write_example(folder, plan, number)
    query = folder / "query.wav"
    write_report(
        folder / "mixture.wav",
        {node: folder / f"{node}.wav" for node in nodes},
        plan.model.hierarchy,
        folder / PAGE_NAME,
        query=query if results["kind"] == "query" else None,
        truth=Truth({node: folder / "reference" / f"{node}.wav" for node in nodes}, results),
    )


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
