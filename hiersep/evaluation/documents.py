"""Put tables into documents, with a line on where their figures come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiersep.errors import DataError
from hiersep.evaluation.names import RESULTS_NAME
from hiersep.files import write_text
from hiersep.training.names import ENVIRONMENT_NAME, SUMMARY_NAME

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable


def fill_place(path: str | os.PathLike[str], name: str, text: str) -> bool:
    """Write a table into a document, between ``<!-- begin NAME table -->`` and ``<!-- end NAME table -->``.

    Args:
        path: The document.
        name: Which place.
        text: What shall stand there.

    Returns:
        Whether anything has changed.

    Raises:
        DataError: If the document cannot be read, or has no such place.
    """
    begin, end = f"<!-- begin {name} table -->", f"<!-- end {name} table -->"
    try:
        before = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    head, begun, rest = before.partition(begin)
    _, ended, tail = rest.partition(end)
    if not begun or not ended:
        raise DataError(f"{path}: expected the lines '{begin}' and '{end}', got none or one; add them")
    after = f"{head}{begin}\n{text}\n{end}{tail}"
    if after != before:
        write_text(path, after)
    return after != before


def read_origin(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read how the network of an experiment's folder was trained, and where it was scored.

    Args:
        folder: The experiment's, with scores in it; or a folder of scores in that, or of a network trained elsewhere.

    Returns:
        ``steps`` and ``minutes`` of the training, its ``machine`` and ``torch``, where there was one here; else those
        of the scoring, without steps and minutes. And the ``commit`` of the scoring.

    Raises:
        DataError: If there are no scores.
    """
    scores = Path(folder)
    home = scores if (scores / SUMMARY_NAME).is_file() else scores.parent
    try:
        results = json.loads((scores / RESULTS_NAME).read_text(encoding="utf-8"))
        if not (home / SUMMARY_NAME).is_file():
            return {key: results[key] for key in ("machine", "torch", "commit")}
        training, made = (
            json.loads((home / name).read_text(encoding="utf-8")) for name in (SUMMARY_NAME, ENVIRONMENT_NAME)
        )
        (torch,) = (package for package in made["packages"] if package.startswith("torch=="))
        return {
            "steps": training["steps"],
            "minutes": float(training["seconds"]) / 60,
            "machine": made["machine"],
            "torch": torch.removeprefix("torch=="),
            "commit": results["commit"],
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(f"{scores}: expected the scores of an evaluation, got none that are whole ({error})") from error


def say_origin(origins: Iterable[dict[str, Any]]) -> str:
    """Say in a line what `read_origin` found of one network, or of several together."""
    every = list(origins)
    trained = [origin for origin in every if "steps" in origin]
    where = f"on {_several(every, 'machine')}, torch {_several(every, 'torch')}, commit {_several(every, 'commit')}."
    if not trained:
        return f"Scored {where}"
    steps = _range([origin["steps"] for origin in trained])
    minutes = _range([round(origin["minutes"]) for origin in trained])
    networks = f"{len(trained)} networks, each " if len(trained) > 1 else ""
    return f"{networks}{steps} steps in {minutes} minutes {where}"


def _several(origins: Iterable[dict[str, Any]], key: str) -> str:
    return " and ".join(dict.fromkeys(origin[key] for origin in origins))


def _range(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
