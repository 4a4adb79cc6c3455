"""``hiersep query``: from a mixture and an example of what is wanted to one file per level."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hiersep.cli.command import command
from hiersep.cli.mixtures import Mixtures, Options, find_mixtures, names_of, take_apart, with_options

if TYPE_CHECKING:
    from hiersep.separation import Passage


@with_options
@command
def query(
    mixtures: Mixtures,
    like: Annotated[
        list[str],
        typer.Option(
            metavar="FILE|SPAN",
            help="The wanted sound, alone: a file, or when it is heard in the mixture: 0:10-0:15. May be repeated.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results: one folder per mixture, one file per level.")],
    model: Annotated[str, typer.Option(help="Checkpoint: a file, a shipped name, or user/model.")] = "query",
    level: Annotated[str | None, typer.Option(help="Levels wanted, separated by commas. Default: all.")] = None,
    *,
    options: Options,
) -> None:
    """Take out of mixtures what sounds like an example, or several of the same sound: one file per level.

    [bold]Examples[/bold]

        hiersep query song.wav --like drums.wav --out found

        hiersep query song.wav --like 0:10-0:15 --out found

        hiersep query *.wav --like trumpet.wav --like other-trumpet.wav --level class --out found
    """
    folders = find_mixtures(mixtures, out)
    from hiersep.errors import ConfigError
    from hiersep.models.checkpoint import from_pretrained
    from hiersep.models.query import QuerySeparator
    from hiersep.separation import Excerpt, Passage, Span, choose_device, choose_nodes, find_anchor

    options.check()
    network = from_pretrained(model)
    if not isinstance(network, QuerySeparator):
        raise ConfigError(
            f"{model}: expected a network that is asked by an example, got a {type(network).__name__}; "
            "use hiersep separate MIX --nodes NAMES"
        )
    wanted, device = choose_nodes(network, names_of(level)), choose_device(options.device)
    spans = {word: Span.of(word) for word in like if Span.fits(word) and not Path(word).exists()}
    files = [Path(word) for word in like if word not in spans]

    def passage_for(mixture: Path) -> Passage:
        anchor = find_anchor(network, [*files, *(Excerpt(mixture, span) for span in spans.values())])
        return Passage(network, nodes=wanted, condition=anchor, device=device, settings=options.settings())

    common = None if spans else passage_for(Path())  # of files alone the anchor is found once
    example = files[0] if files else None
    take_apart(folders, options, lambda mixture: common or passage_for(mixture), example=example)
