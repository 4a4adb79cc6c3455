"""What hiersep wrote in an earlier run and reads again: scores, results, what stands beside estimates, manifests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from helpers import tone, write_audio
from hypothesis import strategies as st

from fuzz.contents import spoiled_bytes
from fuzz.documents import TEXTS, spoiled, written
from fuzz.judging import Door
from hiersep.data.folders import fill_folder
from hiersep.evaluation import read_results
from hiersep.evaluation.comparison import compare
from hiersep.evaluation.documents import read_origin
from hiersep.evaluation.lines import Line, read_lines, write_lines
from hiersep.report.folder import report_folder
from hiersep.separation.files import FORMAT

if TYPE_CHECKING:
    from pathlib import Path

TREE = {"name": "x", "levels": ["mixture", "stem"], "tree": {"mixture": ["vocals", "drums"]}}
ABOUT = {
    "format": FORMAT,
    "mixture": "mix.wav",
    "start": 0,
    "frames": 800,
    "sample_rate": 8000,
    "settings": {},
    "hierarchy": TREE,
    "subtype": "PCM_16",
    "files": {"vocals": "vocals.wav", "drums": "drums.wav"},
    "key": None,
}
RESULTS = {"format": 1, "machine": "m", "torch": "2", "commit": "c", "levels": {"stem": {"si_sdr": 1.0}}, "key": "k"}
SUMMARY, ENVIRONMENT = {"steps": 10, "seconds": 60.0}, {"packages": ["torch==2.6"], "machine": "m"}


def _document(folder: Path, name: str, valid: object, use, quick: int, many: int) -> list[Door]:
    """Doors of a JSON file, by its grammar and by its bytes."""

    def take(content: bytes) -> None:
        (folder / name).write_bytes(content)
        use(folder)

    grammar, flipped = written(spoiled(st.just(valid)), yaml=False), spoiled_bytes(st.just(json.dumps(valid).encode()))
    return [Door(name, grammar, take, quick, many), Door(f"{name}, bytes", flipped, take, quick // 4, many // 4)]


def doors(folder: Path) -> list[Door]:
    """Results."""
    from hiersep.evaluation.names import RESULTS_NAME
    from hiersep.separation.files import ABOUT as ABOUT_NAME
    from hiersep.training.names import ENVIRONMENT_NAME, SUMMARY_NAME

    estimates, scores, trained, mixtures = (folder / name for name in ("out", "scores", "trained", "mixtures"))
    for place in (estimates, scores, trained, mixtures):
        place.mkdir()
    mixture = write_audio(folder / "mix.wav", tone(0.1, rate=8000), 8000)
    for name in ("vocals", "drums"):
        write_audio(estimates / f"{name}.wav", tone(0.1, rate=8000), 8000)
    (trained / SUMMARY_NAME).write_text(json.dumps(SUMMARY), encoding="utf-8")
    (trained / ENVIRONMENT_NAME).write_text(json.dumps(ENVIRONMENT), encoding="utf-8")
    (trained / RESULTS_NAME).write_text(json.dumps(RESULTS), encoding="utf-8")

    def fill(place: Path) -> None:
        fill_folder(place, [], lambda *_: None, settings={"seed": 0}, jobs=1)

    fill(mixtures)
    manifest = json.loads((mixtures / "manifest.json").read_text(encoding="utf-8"))
    return [
        *_document(estimates, ABOUT_NAME, ABOUT, lambda place: report_folder(mixture, place), 60, 2_000),
        *_document(scores, RESULTS_NAME, RESULTS, read_results, 40, 1_500),
        *_document(trained, SUMMARY_NAME, SUMMARY, read_origin, 40, 1_000),
        *_document(mixtures, "manifest.json", manifest, fill, 40, 1_000),
        *_score_doors(folder),
    ]


def _score_doors(folder: Path) -> list[Door]:
    """The lines of two evaluations that are compared."""
    import dataclasses
    import typing

    hints = typing.get_type_hints(Line)
    values = {str: "song", int: 1, float: 0.5}
    own = {field.name: values[hints[field.name]] for field in dataclasses.fields(Line)}
    sides = [folder / "first", folder / "second"]
    for side in sides:
        side.mkdir()
        write_lines(
            side / "scores.csv",
            [Line(**{**own, "clip": clip, "track": f"song {clip}", "status": "scored"}) for clip in range(3)],
        )
    content = (sides[0] / "scores.csv").read_text(encoding="utf-8")
    cells = (
        st.sampled_from(("", "nan", "inf", "-inf", "1e400", "9" * 5000, '"', "0x1", "\u0661", "scored", "\x00")) | TEXTS
    )

    @st.composite
    def tables(draw) -> bytes:
        rows = [line.split(",") for line in content.splitlines()]
        for _ in range(draw(st.integers(1, 3))):
            row = draw(st.integers(0, len(rows) - 1))
            rows[row][draw(st.integers(0, len(rows[row]) - 1))] = draw(cells)
        return "\n".join(",".join(row) for row in rows).encode("utf-8", "replace")

    def take(case: bytes) -> None:
        (sides[0] / "scores.csv").write_bytes(case)
        read_lines(sides[0] / "scores.csv")
        with np.errstate(all="ignore"):
            compare(sides[0], sides[1], resamples=10)

    return [Door("scores.csv", tables() | spoiled_bytes(st.just(content.encode())), take, 80, 2_000)]
