"""Refuse a mistyped experiment before anything is made.

Usage: python recipes/check.py CONF.yml [--section.key VALUE ...]
"""

from __future__ import annotations

from hiersep.cli.command import run_script
from hiersep.config import load_experiment


def main(conf: str, *overrides: str) -> None:
    load_experiment(conf, overrides)


if __name__ == "__main__":
    run_script(main)
