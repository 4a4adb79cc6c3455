"""The page of a folder that a separation wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hiersep.audio import SUFFIXES
from hiersep.errors import DataError
from hiersep.report.page import PAGE_NAME, Truth, write_report
from hiersep.separation.files import read_separation

if TYPE_CHECKING:
    import os

    Place = str | os.PathLike[str]


def report_folder(
    mixture: Place,
    folder: Place,
    out: Place | None = None,
    *,
    references: Place | None = None,
    query: Place | None = None,
) -> Path:
    """Write the page of a separation by what stands beside its results.

    Args:
        mixture: Audio file that was taken apart.
        folder: What `hiersep.separation.write_estimates` wrote.
        out: The page. Default: ``report.html`` in the folder.
        references: Folder of true submixes, ``NODE.wav`` or another format, of some nodes or all.
        query: Audio file of the example that was asked with.

    Returns:
        The page.

    Raises:
        DataError: If the folder is none of the kind, has no reference, or `write_report` cannot use a file.
    """
    separated = read_separation(folder)
    truth = None if references is None else Truth(_find_references(Path(references), list(separated.files)))
    page = Path(folder) / PAGE_NAME if out is None else out
    return write_report(
        mixture, separated.files, separated.hierarchy, page, query=query, span=separated.span, truth=truth
    )


def _find_references(folder: Path, nodes: list[str]) -> dict[str, Path]:
    places = {node: [folder / f"{node}{suffix}" for suffix in SUFFIXES] for node in nodes}
    found = {node: next(filter(Path.is_file, files), None) for node, files in places.items()}
    there = {node: file for node, file in found.items() if file is not None}
    if not there:
        raise DataError(f"{folder}: expected true submixes such as {nodes[0]}.wav, got none; name their folder")
    return there
