"""Figures as Markdown: what was scored, and what was counted apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HEADINGS = (
    "level", "node", "mixture", "static", "network", "oracle", "improvement", "median", "± std", "clips", "songs",
)  # fmt: skip
_MEANS = ("mixture", "static", "si_sdr", "oracle", "si_sdri")


def table(results: Mapping[str, Any]) -> str:
    """Write results as a Markdown table, with lines on what was counted apart.

    SI-SDR in dB, means over the scored clips; ``improvement`` is the network's over the mixture, ``median`` its median.

    Args:
        results: The content of ``results.json``.
    """
    parts = [markdown([HEADINGS, *table_rows(results)], texts=2)]
    if results["targets"]:
        parts.append(markdown(_target_rows(results), texts=1))
    return "\n\n".join([*parts, "\n".join(notes(results))])


def table_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """Lay the results out: of a path a row per node; else one per level, and one per node that was scored anywhere.

    The level's number is the poster's, which counts from the finest level up. Last of the levels stands their mean.
    """
    whole = results["whole"]
    means = [decibels((whole[name] or {}).get("mean")) for name in _MEANS]
    mean = ["all", "mean of the levels", *means, decibels((whole["si_sdri"] or {}).get("median")), "", "", ""]
    nodes = results["nodes"].items()
    if results["kind"] == "path":
        return [*(_row(results, node["level"], name, node) for name, node in nodes), mean]
    levels = [_row(results, name, f"all of {name}", level) for name, level in results["levels"].items()]
    return [*levels, mean, *(_row(results, node["level"], name, node) for name, node in nodes if node["clips"])]


def _row(results: Mapping[str, Any], level: str, name: str, group: Mapping[str, Any]) -> list[str]:
    names = list(results["levels"])
    means = [decibels((group[figure] or {}).get("mean")) for figure in _MEANS]
    spread = [decibels((group["si_sdri"] or {}).get(key)) for key in ("median", "std")]
    return [str(len(names) - names.index(level)), name, *means, *spread, str(group["clips"]), str(group["songs"])]


def _target_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """Improvement per target that was asked for, at every level."""
    rows = [["asked for", *results["levels"], "clips"]]
    for target, levels in results["targets"].items():
        gains = [decibels((level["si_sdri"] or {}).get("mean")) for level in levels.values()]
        rows.append([target, *gains, str(max(level["clips"] for level in levels.values()))])
    return rows


def notes(results: Mapping[str, Any]) -> list[str]:
    """Say what was counted apart, and how far the outputs are from a tree."""
    levels, nodes = results["levels"], results["nodes"]
    groups = nodes if results["kind"] == "path" else levels
    lines = [
        f"SI-SDR in dB. Two adjacent levels are the same signal in {percent(results['identical_levels'])} of the "
        f"clips; nothing is to separate in {percent(results['nothing_to_separate'])}."
    ]
    if results["kind"] != "path":
        lines.append(f"The same signal as the parent: {_shares(groups, 'identical')}.")
    for name, group in groups.items():
        if group["apart"]:
            reasons = ", ".join(_reason(status, apart) for status, apart in group["apart"].items())
            lines.append(f"Counted apart at {name}: {reasons}.")
    lines.append(f"Near-silent outputs where the reference is salient: {_shares(groups, 'near_silent')}.")
    louder = [
        f"{percent(group['exceeding_bins'])} of the bins and {percent(group['exceeding_energy'])} of the energy {name}"
        for name, group in groups.items()
        if group["exceeding_bins"]
    ]
    lines.append(f"Louder than the parent: {', '.join(louder) or 'nowhere'}.")
    sums = [f"{decibels(g['sum_error'])} dB {name}" for name, g in groups.items() if g["sum_error"] is not None]
    if sums:
        lines.append(f"Children do not add up to their parent by: {', '.join(sums)}.")
    unheard = [name for name, node in nodes.items() if not node["clips"]]
    if unheard and results["kind"] != "path":
        lines.append(f"Scored nowhere: {', '.join(unheard)}.")
    return lines


def _shares(groups: Mapping[str, Mapping[str, Any]], key: str) -> str:
    return ", ".join(f"{percent(group[key])} {name}" for name, group in groups.items())


def _reason(status: str, apart: Mapping[str, Any]) -> str:
    """How many clips, and what they would have scored; where there is nothing to score, how loud the output is."""
    text = f"{apart['clips']} {status}"
    if status == "silent" and apart["output_level"] is not None:
        return f"{text} (outputs {decibels(apart['output_level'])} dB relative to the mixture)"
    return text if apart["si_sdri"] is None else f"{text} (improvement {decibels(apart['si_sdri'])})"


def comparison_table(comparison: Mapping[str, Any]) -> str:
    """Write a comparison as a Markdown table: improvement of both over the mixture, and their difference.

    Args:
        comparison: What `compare` gave.
    """
    headings = ["level", "node", "first", "second", "second - first", "interval", "clips", "songs"]
    levels = comparison["levels"]
    rows = [_difference(level["number"], f"all of {name}", level) for name, level in levels.items()]
    rows.append(_difference("all", "mean of the levels", comparison["whole"]))
    if any(level["nodes"] > 1 for level in levels.values()):
        for name, node in comparison["nodes"].items():
            rows.append(_difference(levels[node["level"]]["number"], name, node))
    text = markdown([headings, *rows], texts=2)
    alone = f"{comparison['only_first']} and {comparison['only_second']} lines are scored in one of them alone"
    return (
        f"{text}\n\nfirst: {comparison['first']}; second: {comparison['second']}.\n"
        f"SI-SDR improvement in dB over the clips that both have scored; {alone}. Interval: "
        f"{percent(comparison['confidence'])}, {comparison['resamples']} resamples of the songs, seed "
        f"{comparison['seed']}."
    )


def _difference(level: int | str, name: str, group: Mapping[str, Any]) -> list[str]:
    low, high = group["low"], group["high"]
    interval = "-" if low is None else f"{low:+.2f} to {high:+.2f}"
    means = [decibels(group["first"]), decibels(group["second"]), f"{group['difference']:+.2f}"]
    return [str(level), name, *means, interval, str(group["clips"]), str(group["songs"])]


def markdown(rows: Sequence[Sequence[str]], *, texts: int) -> str:
    """Align rows as a Markdown table; the first holds the headings, and so many columns hold text."""
    ruled = [rows[0], ["---"] * texts + ["--:"] * (len(rows[0]) - texts), *rows[1:]]
    widths = [max(len(row[column]) for row in ruled) for column in range(len(rows[0]))]
    return "\n".join(f"| {' | '.join(_aligned(row, widths, texts))} |" for row in ruled)


def _aligned(row: Sequence[str], widths: Sequence[int], texts: int) -> Iterable[str]:
    pairs = enumerate(zip(row, widths, strict=True))
    return [cell.ljust(width) if column < texts else cell.rjust(width) for column, (cell, width) in pairs]


def decibels(value: float | None) -> str:
    """Write with one decimal; ``-`` where there is nothing."""
    return "-" if value is None else f"{value:.1f}"


def percent(share: float | None) -> str:
    """Write a share for people."""
    return "-" if share is None else f"{share:.0%}"
