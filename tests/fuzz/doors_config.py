"""Experiments in files and on the command line, files of distributions, spans of time."""

from __future__ import annotations

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any, Literal

from hypothesis import strategies as st

from fuzz.contents import spoiled_bytes
from fuzz.documents import ODD, TEXTS, as_json, spoiled, written
from fuzz.doors_hierarchy import as_bytes
from fuzz.judging import Door
from hiersep.audio import AudioInfo
from hiersep.config import SECTIONS, as_yaml, load_experiment
from hiersep.data.distributions import MixingConfig
from hiersep.separation.spans import Span

_RECIPES = Path(__file__).parents[2] / "recipes"


def of_hint(hint: Any) -> st.SearchStrategy:
    """Values of a setting's type, in its range or not."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(of_hint, arguments))
    if origin is list:
        return st.lists(of_hint(arguments[0]), min_size=1, max_size=3)
    if dataclasses.is_dataclass(hint):
        return st.fixed_dictionaries({}, optional=of_fields(hint))
    kinds = {
        str: st.sampled_from(["guitar", "clean_guitars", "data", "test", "0.5"]),
        int: st.sampled_from([1, 2, 4, 16, 512, 1024, 16000, 0, -1]),
        float: st.sampled_from([0.5, 1.0, 0.1, 10.0, 1, -1.0]),
        bool: st.booleans(),
        type(None): st.none(),
    }
    return kinds[hint]


def of_fields(kind: type) -> dict[str, st.SearchStrategy]:
    hints = typing.get_type_hints(kind)
    return {field.name: of_hint(hints[field.name]) for field in dataclasses.fields(kind)}


_FIELDS = {name: of_fields(section) for name, section in SECTIONS.items()}


@st.composite
def experiments(draw) -> dict:
    """Some settings of some sections, each of the right type; now and then a base."""
    document: dict = {}
    for name in draw(st.lists(st.sampled_from(sorted(_FIELDS)), min_size=1, max_size=3, unique=True)):
        keys = draw(st.lists(st.sampled_from(sorted(_FIELDS[name])), min_size=1, max_size=3, unique=True))
        document[name] = {key: draw(_FIELDS[name][key]) for key in keys}
    if draw(st.integers(0, 4)) == 0:
        document["base"] = draw(
            st.sampled_from(("base.yml", "experiment.yml", "none.yml", ".", "sub/../base.yml")) | TEXTS
        )
    return document


@st.composite
def words(draw) -> list[str]:
    """Words of a command line: settings of some section, and what looks like them."""
    said: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        section = draw(st.sampled_from(sorted(_FIELDS)))
        key = draw(st.sampled_from(sorted(_FIELDS[section])))
        name = draw(
            st.sampled_from(
                (f"--{section}.{key}",) * 6 + (f"--{section}.", f"-{key}", "--", "--=", f"--{key}", "--profile")
            )
            | TEXTS
        )
        value = as_json(draw(_FIELDS[section][key] | ODD))
        said += [f"{name}={value}"] if draw(st.booleans()) else [name, value]
    return said


def _distributions() -> st.SearchStrategy:
    number = st.sampled_from([0, 1, -3, 0.5, 2, 6.0])
    one = st.one_of(
        st.tuples(st.just("const"), number),
        st.tuples(st.just("uniform"), number, number),
        st.tuples(st.just("normal"), number, number),
        st.tuples(st.just("truncnorm"), number, number, number, number),
        st.tuples(st.just("choose"), st.lists(number, min_size=1, max_size=3)),
    ).map(list)
    settings = dict.fromkeys(("gain", "snr", "offset", "pitch_shift", "time_stretch", "num_sources"), one)
    node = st.fixed_dictionaries({}, optional=settings)
    more = {"nodes": st.dictionaries(st.sampled_from(["guitar", "drums"]), node, max_size=2)}
    return st.fixed_dictionaries({}, optional={**settings, **more, "augmentation": number, "ref_db": number})


def _times() -> st.SearchStrategy:
    piece = st.sampled_from(
        ["0", "1", "59", "1:10", "1:00:00", "0.5", "9" * 400, "-", ":", "\u0661", "1e5", " 1 ", "99:99:99", "."]
    )
    return st.lists(piece, min_size=1, max_size=3).map("-".join) | st.text(
        st.sampled_from("0123456789:.- e"), max_size=12
    )


def doors(folder: Path) -> list[Door]:
    """Settings."""
    folder = folder / "conf"
    folder.mkdir()
    (folder / "base.yml").write_text("data: {duration: 2.0}\n", encoding="utf-8")
    place, mixing, again = folder / "experiment.yml", folder / "mixing.yml", folder / "again.yml"
    plain = folder / "plain.yml"
    plain.write_text("data: {duration: 2.0}\n", encoding="utf-8")
    header = AudioInfo(48000, 16000, 1)

    def open_experiment(content: bytes) -> None:
        place.write_bytes(content)
        config = load_experiment(place)
        again.write_text(as_yaml(config), encoding="utf-8")
        assert load_experiment(again) == config

    def open_mixing(content: bytes) -> None:
        mixing.write_bytes(content)
        config = MixingConfig.load(mixing)
        assert MixingConfig.of(config.to_dict()) == config

    recipes = st.sampled_from([path.read_bytes() for path in sorted(_RECIPES.rglob("*.yml"))])
    return [
        Door("experiment", written(spoiled(experiments())), open_experiment, 300, 10_000),
        Door("experiment, bytes", spoiled_bytes(recipes), open_experiment, 100, 4_000),
        Door("words of a command", words(), lambda case: load_experiment(plain, case), 200, 8_000),
        Door("distributions", written(spoiled(_distributions())), open_mixing, 120, 6_000),
        Door("distributions, bytes", spoiled_bytes(_distributions().map(as_bytes)), open_mixing, 60, 1_500),
        Door("span of time", _times(), lambda case: Span.of(case).frames_of(header, "x.wav"), 100, 1_500),
    ]
