"""Bad input, thousands of cases at every door: success or one line of ours comes out, in little time and memory."""

from __future__ import annotations

import importlib

import pytest
from fuzz.judging import LONGEST_S, MOST_MB, run

# The doors of each module, by the names of what comes in there.
MODULES = ("hierarchy", "config", "data", "models", "audio", "results")
FEWEST = 100_000  # cases of `make test-slow`


@pytest.fixture(scope="module")
def open_doors(tmp_path_factory):
    """Give the doors of a module, made once."""
    made = {}

    def doors(name):
        if name not in made:
            made[name] = importlib.import_module(f"fuzz.doors_{name}").doors(tmp_path_factory.mktemp(name))
        return made[name]

    return doors


def tried(doors, counts, capsys):
    """Try every door, say what came of it, and judge time and memory; how many cases there were."""
    cases = 0
    for door, count in zip(doors, counts, strict=True):
        tally = run(door, count)
        with capsys.disabled():
            print(f"\n{door.name}: {tally.row()}", end="")
        assert tally.slowest_s < LONGEST_S, door.name
        assert tally.peak_mb < MOST_MB, door.name
        cases += tally.cases
    return cases


@pytest.mark.parametrize("name", MODULES)
def test_only_errors_of_ours_come_out_of_bad_input(name, open_doors, capsys):
    doors = open_doors(name)
    assert tried(doors, [door.quick for door in doors], capsys)


@pytest.mark.slow
def test_only_errors_of_ours_come_out_of_a_hundred_thousand_bad_inputs(open_doors, capsys):
    cases = 0
    for name in MODULES:
        doors = open_doors(name)
        cases += tried(doors, [door.many for door in doors], capsys)
    with capsys.disabled():
        print(f"\n{cases} cases in all")
    assert cases >= FEWEST
