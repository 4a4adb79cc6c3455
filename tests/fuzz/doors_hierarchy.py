"""Hierarchies: files in YAML and JSON, the authors' nested JSON, dicts."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from fuzz.contents import spoiled_bytes
from fuzz.documents import PLAIN_ODD, as_yaml, spoiled, written
from fuzz.judging import Door
from hiersep.hierarchy import Hierarchy

_SHIPPED = Path(__file__).parents[2] / "hierarchies"
_IDS = [
    f"{word}{end}" for word in ("guitar", "piano", "drums", "vocals", "bass", "keys") for end in ("", "_a", "_b2", "s")
]
_STEMS = [
    {"program_num": 24, "plugin_name": "a.nkm", "filename": "Bass.wav", "instrument": "Piano"},
    {"program_num": "128", "plugin_name": "", "filename": "x/y[1].flac", "instrument": None},
    {},
]


@st.composite
def hierarchies(draw) -> dict:
    """A hierarchy with labels of one data set, of several, or of none."""
    depth, ids = draw(st.integers(1, 4)), iter(draw(st.permutations(_IDS)))
    leaves: list[str] = []

    def below(levels: int) -> object:
        names = [next(ids) for _ in range(draw(st.integers(1, 3 if levels < 3 else 2)))]
        if levels == 1 or any(name == "guitar" for name in names):
            leaves.extend(names)
            return names
        inner = {name: below(levels - 1) for name in names[1:]}
        leaves.append(names[0])
        return [names[0], inner] if inner else names

    tree = {"mixture": below(depth)}
    deepest = _depth(tree) - 1
    document: dict = {
        "name": draw(st.sampled_from(("x", "slakh-34", "A.b"))),
        "levels": ["mixture", *(f"level_{n}" for n in range(1, deepest + 1))],
        "tree": tree,
    }
    if draw(st.booleans()):
        document["display"] = {leaf: leaf.title() for leaf in leaves[:2]}
    match draw(st.integers(0, 3)):
        case 0:
            programs = iter(range(128))
            document |= {
                "match": "program_num",
                "labels": {leaf: [next(programs), f"{(low := next(programs))}-{low}"] for leaf in leaves},
            }
            document["ignore"] = ["120-127"]
        case 1:
            document |= {
                "match": ["plugin_name", "filename"],
                "labels": {leaf: [f"{leaf}*", f"{leaf}.wav"] for leaf in leaves},
            }
        case 2:
            blocks = {
                name: {"match": "filename", **{leaf: f"{leaf}?" for leaf in leaves}} for name in ("slakh", "musdb18")
            }
            document["labels"] = blocks
    return document


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return max(1 + _depth(inner) for inner in value.values())
    return max(map(_depth, value)) if isinstance(value, list) else 1


@st.composite
def authors(draw) -> dict:
    """The authors' nested JSON."""
    patches = st.lists(st.sampled_from([f"{name}.nkm" for name in "abcdefgh"]), max_size=2)
    inner = st.dictionaries(
        st.sampled_from(["Guitar", "Electric Bass", "keys/organ", "guitar", "e"]), patches, max_size=3
    )
    return draw(st.dictionaries(st.sampled_from(["mix", "Strings", "A", "b"]), inner | patches, min_size=1, max_size=3))


def doors(folder: Path) -> list[Door]:
    """Hierarchies from files, and dicts."""
    # What Python's repr of a file's hierarchy, its drawing and its text say is used too, and that it is read back.
    files = {suffix: folder / f"hierarchy{suffix}" for suffix in (".yaml", ".json")}

    def open_file(case: tuple[str, bytes]) -> None:
        suffix, content = case
        files[suffix].write_bytes(content)
        use(Hierarchy.load(files[suffix]))

    shipped = st.sampled_from([path.read_bytes() for path in sorted(_SHIPPED.glob("*.yaml"))])
    suffixes = st.sampled_from(sorted(files))
    valid = hierarchies() | hierarchies() | authors()
    yaml = st.tuples(st.just(".yaml"), written(spoiled(valid)))
    json = st.tuples(st.just(".json"), written(spoiled(valid), yaml=False))
    return [
        Door("hierarchy", yaml | json, open_file, 400, 14_000),
        Door(
            "hierarchy, bytes", st.tuples(suffixes, spoiled_bytes(shipped | valid.map(as_bytes))), open_file, 100, 6_000
        ),
        Door("hierarchy, dict", spoiled(valid, PLAIN_ODD), lambda case: use(Hierarchy.load(case)), 100, 4_000),
    ]


def as_bytes(document: object) -> bytes:
    return as_yaml(document).lstrip("\n").encode()


def use(hierarchy: Hierarchy) -> None:
    """What is done with a hierarchy: it is shown, asked, and written so that it reads back as it was."""
    assert len(str(hierarchy).splitlines()) == len(hierarchy)
    assert Hierarchy.load(hierarchy.to_dict()) == hierarchy
    dataset = next(iter(hierarchy.datasets), None)
    claims = [hierarchy.claim(stem, dataset) for stem in _STEMS]
    assert hierarchy.membership(claims).shape == (len(hierarchy), len(claims))
    assert hierarchy.known(claims)[0] or claims[0] == hierarchy.root.id or hierarchy.root.id in claims
    repr(hierarchy)
    hierarchy.dump().encode()
    hierarchy.dump("json").encode()
