"""``hiersep evaluate``: score a separator on held-out songs, or compare two that were scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hiersep.cli.command import command, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hiersep.config import EvaluationConfig, SongsConfig

Model = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CKPT...",
        help="Checkpoint: a file, or a shipped name; several work as one separator. Or demucs:NAME, openunmix:NAME.",
        show_default=False,
    ),
]
Data = Annotated[Path | None, typer.Option(help="Data set with the splits train and test.", show_default=False)]
Out = Annotated[Path | None, typer.Option(help="Folder for the results.", show_default=False)]
Splits = Annotated[str | None, typer.Option(metavar="NAME", help="A table of splits that the data set publishes.")]
Clips = Annotated[Path | None, typer.Option(metavar="FILE", help="Score the clips.json of another evaluation.")]
Salient = Annotated[
    list[str] | None,
    typer.Option(metavar="NODE", help="One of these sounds in every clip. Default: of what is scored the finest."),
]
StaticData = Annotated[Path | None, typer.Option(help="Data set for the static row. Default: the one that is scored.")]
Seconds = Annotated[float, typer.Option(min=0.1, max=600, help="Length of a clip in seconds.")]
QuerySeconds = Annotated[
    float | None, typer.Option(min=0.1, max=600, help="Length of a query in seconds. Default: that of a clip.")
]
Batch = Annotated[int, typer.Option(min=1, help="Clips that go through the network at once.")]
Jobs = Annotated[int | None, typer.Option(help="Processes. Default: one per core; with a GPU, one.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or mps. Default: the fastest at hand.")]
Example = Annotated[
    Path | None, typer.Option(help="Folder for an example clip: audio, a picture, a page to listen to.")
]
Songs = Annotated[
    bool, typer.Option("--songs", help="Score whole songs, by museval too, in place of clips: hours for a data set.")
]
Level = Annotated[
    list[str] | None, typer.Option(help="With --songs: a level to score. Default: all.", show_default=False)
]
NoBssEval = Annotated[bool, typer.Option("--no-bss-eval", help="With --songs: leave museval out.")]
Compare = Annotated[
    tuple[Path, Path] | None,
    typer.Option(metavar="DIR DIR", help="Compare two evaluations in place of scoring one.", show_default=False),
]


@command
def evaluate(
    model: Model = None,
    data: Data = None,
    out: Out = None,
    split: Annotated[str, typer.Option(help="Split to score.")] = "test",
    splits: Splits = None,
    num: Annotated[int, typer.Option(min=1, help="Clips to score, at most.")] = 3000,
    clips: Clips = None,
    salient: Salient = None,
    static_clips: Annotated[int, typer.Option(min=1, help="Training clips for the static row.")] = 200,
    static_data: StaticData = None,
    duration: Seconds = 10.0,
    query_duration: QuerySeconds = None,
    channels: Annotated[int, typer.Option(min=1, max=2, help="1 or 2.")] = 1,
    batch_size: Batch = 4,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the clips.")] = 0,
    jobs: Jobs = None,
    device: Device = None,
    example: Example = None,
    songs: Songs = False,
    level: Level = None,
    no_bss_eval: NoBssEval = False,
    compare: Compare = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Score a separator beside the mixture, a static filter and the oracles; or compare two that were scored.

    The scores do not depend on the number of jobs. A run that was stopped goes on where it was.

    [bold]Examples[/bold]

        hiersep evaluate exp/first/best.safetensors --data data --out exp/first

        hiersep evaluate exp/first/best.safetensors --data musdb18hq --out exp/first --songs --jobs 4

        hiersep evaluate --compare exp/first exp/second
    """
    if compare is not None:
        return _compare(compare, out, alone=not model and data is None, as_json=as_json)
    from hiersep.config import EvaluationConfig, SongsConfig

    if songs:
        whole = SongsConfig(split=split, splits=splits, levels=level or None, bss_eval=not no_bss_eval)
        of_clips = {"--clips": clips, "--example": example}
        return _score_whole(model, data, out, whole, of_clips=of_clips, jobs=jobs, device=device, as_json=as_json)
    settings = EvaluationConfig(
        split=split,
        splits=splits,
        clips=None if clips is None else str(clips),
        salient=salient or None,
        num_test=num,
        num_static=static_clips,
        static_data=None if static_data is None else str(static_data),
        duration=duration,
        query_duration=query_duration,
        channels=channels,
        batch_size=batch_size,
        seed=seed,
    )
    _score(model, data, out, settings, example=example, jobs=jobs, device=device, as_json=as_json)


def _score(
    model: list[str] | None,
    data: Path | None,
    out: Path | None,
    settings: EvaluationConfig,
    *,
    example: Path | None,
    jobs: int | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Score clips, print the table, and say where all lies."""
    model, data, out = _given(model, data, out)
    from hiersep.evaluation import table
    from hiersep.report import run_evaluation
    from hiersep.separation import choose_device

    device = choose_device(device)
    jobs = _jobs(jobs, device)
    results = run_evaluation(model, data, out, settings=settings, example=example, jobs=jobs, device=device)
    if as_json:
        print(json.dumps(results, indent=2))
        return
    say(table(results))
    say(f"Written: {out / 'results.json'}, {out / 'scores.csv'}, {out / 'clips.json'}")
    if example is not None:
        say(f"Listen: {example / 'report.html'}")


def _score_whole(
    model: list[str] | None,
    data: Path | None,
    out: Path | None,
    settings: SongsConfig,
    *,
    of_clips: Mapping[str, Path | None],
    jobs: int | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Score whole songs, print the table, and say where all lies."""
    from hiersep.errors import ConfigError

    for name, value in of_clips.items():
        if value is not None:
            raise ConfigError(f"{name}: expected none with --songs, which scores whole songs and no clips; got {value}")
    model, data, out = _given(model, data, out)
    from hiersep.evaluation import score_songs, song_table
    from hiersep.separation import choose_device

    device = choose_device(device)
    results = score_songs(model, data, settings, out=out, jobs=_jobs(jobs, device), device=device)
    if as_json:
        print(json.dumps(results, indent=2))
        return
    say(song_table(results))
    say(f"Written: {out / 'songs.json'}, {out / 'songs'}")


def _given(model: list[str] | None, data: Path | None, out: Path | None) -> tuple[list[str], Path, Path]:
    """Refuse to score without a checkpoint, data or a folder."""
    from hiersep.errors import ConfigError

    if not model or data is None or out is None:
        given = {"CKPT": model, "--data": data, "--out": out}
        missing = [name for name, value in given.items() if not value]
        raise ConfigError(
            f"expected CKPT, --data and --out to score, or --compare DIR DIR; got no {' and no '.join(missing)}"
        )
    return model, data, out


def _jobs(jobs: int | None, device: str) -> int:
    if jobs is None:
        return -1 if device == "cpu" else 1
    return jobs


def _compare(folders: tuple[Path, Path], out: Path | None, *, alone: bool, as_json: bool) -> None:
    """Print a comparison, and write it where a folder is given."""
    from hiersep.errors import ConfigError
    from hiersep.evaluation import compare, comparison_table
    from hiersep.files import write_json, write_text

    if not alone:
        raise ConfigError(
            "compare: expected two folders alone, got a checkpoint or data too; score first, then compare"
        )
    comparison = compare(*folders)
    text = comparison_table(comparison)
    say(json.dumps(comparison, indent=2) if as_json else text)
    if out is not None:
        write_json(out / "comparison.json", comparison)
        write_text(out / "comparison.md", text + "\n")
