"""Render the multitracks that a configuration asks for, where they do not lie already.

Usage: python prepare.py CONF.yml [--section.key VALUE ...]
"""

from __future__ import annotations

from hiersep.cli.command import run_script
from hiersep.config import load_experiment
from hiersep.render import RenderSettings, render


def main(conf: str, *overrides: str) -> None:
    config = load_experiment(conf, overrides)
    wanted = config.render
    train, validation, test = wanted.splits
    settings = RenderSettings(
        tracks=wanted.tracks,
        seed=wanted.seed,
        splits=(train, validation, test),
        midi=wanted.midi,
        soundfonts=tuple(wanted.soundfonts or ()),
        test_soundfonts=tuple(wanted.test_soundfonts or ()),
        effects=wanted.effects,
        duration=wanted.duration,
        sample_rate=config.data.sample_rate,
        format=wanted.format,
    )
    made = render(config.data.folder, settings)
    print(f"{made.path}: {made.minutes:.0f} minutes, tracks {made.tracks}, of which {made.skipped} lay there already")


if __name__ == "__main__":
    run_script(main)
