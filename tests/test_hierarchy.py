"""The laws of trees, on random ragged ones; claims by every kind of label."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiersep.errors import HierarchyError, HiersepWarning
from hiersep.hierarchy import Hierarchy
from hiersep.hierarchy.drawing import excerpt

laws = settings(max_examples=60)
TRICKY_IDS = ["no", "on", "y", "null", "true", "e1", "drums"]
LABEL_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)


def tree_of(shape: list, ids: list[str]):
    """Name the nodes of a shape, nested lists, as children in the file's form."""
    children = []
    for below in shape:
        id = ids.pop()
        children.append({id: tree_of(below, ids)} if below else id)
    return children


def depth_of(shape: list) -> int:
    return 1 + max((depth_of(below) for below in shape), default=-1)


def size_of(shape: list) -> int:
    return sum(1 + size_of(below) for below in shape)


@st.composite
def shapes(draw, depth=4):
    """Nested lists: each list a node's children; up to five levels with the root, ragged."""
    if depth == 0:
        return []
    return draw(st.lists(st.one_of(st.just([]), shapes(depth=depth - 1)), max_size=3))


@st.composite
def documents(draw, labelled=True):
    """A valid document with random tree, and labels on some leaves and inner nodes."""
    shape = draw(shapes().filter(lambda shape: len(shape) > 0))
    size = size_of(shape)
    ids = draw(st.permutations([*TRICKY_IDS, *(f"n{at}" for at in range(size))]))[:size]
    document = {
        "name": "random",
        "levels": ["mixture", "y", "on", "no", "null"][: depth_of(shape) + 1],
        "tree": {"root": tree_of(shape, list(ids))},
    }
    if draw(st.booleans()):
        document["display"] = {ids[0]: draw(LABEL_TEXT)}
    owners = draw(st.lists(st.sampled_from([*ids, "root"]), unique=True)) if labelled else []
    if owners and draw(st.booleans()):
        document |= {"match": "program_num", "labels": {id: at for at, id in enumerate(owners)}}
    elif owners:
        texts = draw(st.lists(LABEL_TEXT, min_size=len(owners), max_size=len(owners), unique=True))
        labels = {id: f"{at} {text}" for at, (id, text) in enumerate(zip(owners, texts, strict=True))}
        document["labels"] = {"one": {"match": "plugin_name", "ignore": "x"} | labels}
    return document


@st.composite
def hierarchies(draw):
    return Hierarchy.load(draw(documents()))


@st.composite
def claimed(draw):
    """A hierarchy and the claims of a few stems: by leaves, by inner nodes, by none."""
    hierarchy = draw(hierarchies())
    anyone = st.one_of(st.none(), st.sampled_from(hierarchy.ids), st.sampled_from(hierarchy.leaves))
    return hierarchy, draw(st.lists(anyone, max_size=8))


# --- structure


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("dump")


@laws
@given(hierarchies())
def test_what_is_dumped_loads_as_it_was(folder, hierarchy):
    for format in ("yaml", "json"):
        path = folder / f"random.{format}"
        path.write_text(hierarchy.dump(format), encoding="utf-8")
        assert Hierarchy.load(path) == hierarchy
    assert Hierarchy.load(hierarchy.to_dict()) == hierarchy
    assert hash(Hierarchy.load(hierarchy.to_dict())) == hash(hierarchy)
    assert pickle.loads(pickle.dumps(hierarchy)) == hierarchy
    assert Hierarchy.load(hierarchy) is hierarchy


def test_a_dump_is_for_people_too():
    """One entry a line, words as they are written."""
    data = {"name": "a", "levels": ["mix", "stem"], "tree": {"m": ["x"]}, "display": {"x": "Flöte"}}
    for dumped in (Hierarchy.load(data).dump(), Hierarchy.load(data).dump("yaml"), Hierarchy.load(data).dump("json")):
        lines = [line.strip().strip(",") for line in dumped.splitlines()]
        assert len(lines) > 5
        assert {"x: Flöte", '"x": "Flöte"'} & set(lines)
    assert '\n  "format": 1,\n' in Hierarchy.load(data).dump("json")


@laws
@given(hierarchies())
def test_nodes_stand_coarse_to_fine_and_siblings_side_by_side(hierarchy):
    depths = [node.depth for node in hierarchy.nodes]
    assert depths == sorted(depths)
    assert hierarchy.ids[0] == hierarchy.root.id
    for at, node in enumerate(hierarchy.nodes):
        assert hierarchy.index(node.id) == at
        assert node.level == hierarchy.levels[node.depth]
        places = [hierarchy.index(child) for child in node.children]
        assert places == list(range(places[0], places[0] + len(places))) if places else True
        assert all(hierarchy.node(child).parent == node.id for child in node.children)
        assert len(hierarchy.path(node.id)) == node.depth + 1


@laws
@given(hierarchies())
def test_the_leaves_below_siblings_partition_those_below_their_parent(hierarchy):
    for node in hierarchy.nodes:
        if node.children:
            below = [leaf for child in node.children for leaf in hierarchy.leaves_below(child)]
            assert sorted(below) == sorted(hierarchy.leaves_below(node.id))
    assert hierarchy.leaves_below(hierarchy.root.id) == hierarchy.leaves


@laws
@given(hierarchies())
def test_each_level_covers_every_leaf_exactly_once(hierarchy):
    for level in hierarchy.levels:
        below = [leaf for id in hierarchy.at_level(level) for leaf in hierarchy.leaves_below(id)]
        assert sorted(below) == sorted(hierarchy.leaves)
    assert hierarchy.at_level(0) == (hierarchy.root.id,)
    assert hierarchy.at_level(len(hierarchy.levels) - 1) == tuple(id for id in hierarchy.ids if id in hierarchy.leaves)


@laws
@given(hierarchies())
def test_descendants_are_those_whose_path_leads_through_the_node(hierarchy):
    for id in hierarchy.ids:
        through = {other for other in hierarchy.ids if id in hierarchy.path(other)} - {id}
        assert set(hierarchy.descendants(id)) == through


@laws
@given(hierarchies())
def test_the_drawing_has_one_line_per_node(hierarchy):
    lines = str(hierarchy).splitlines()
    assert sorted(line.lstrip("│├└─ ") for line in lines) == sorted(hierarchy.ids)
    for line in lines:
        id = line.lstrip("│├└─ ")
        assert len(line) - len(id) == 4 * hierarchy.node(id).depth


@laws
@given(hierarchies(), st.data(), st.booleans())
def test_an_excerpt_is_what_stands_beside_above_and_right_below_the_wanted(hierarchy, data, below):
    wanted = data.draw(st.sets(st.sampled_from(hierarchy.ids), min_size=1))
    nodes, lost = excerpt(hierarchy.nodes, wanted, below=below)
    paths = [hierarchy.path(id) if below else hierarchy.path(id)[:-1] for id in wanted]
    opened = {id for path in paths for id in path}
    kept = [node for node in hierarchy.nodes if {node.id, node.parent} & opened]
    assert [node.id for node in nodes] == [node.id for node in kept]
    for short, whole in zip(nodes, kept, strict=True):
        assert short.children == (whole.children if whole.id in opened else ())
        below_it = len(hierarchy.descendants(whole.id))
        assert lost.pop(short.id, 0) == (0 if whole.id in opened else below_it)
    assert not lost


@laws
@given(hierarchies())
def test_the_node_at_a_level_is_the_one_of_that_depth_on_the_path(hierarchy):
    for node in hierarchy.nodes:
        at = hierarchy.path_at(node.id, hierarchy.levels)
        assert set(at) == set(hierarchy.path(node.id))
        for depth, id in enumerate(at):
            assert hierarchy.node(id).depth == min(depth, node.depth)
        assert hierarchy.path_at(node.id, [0, len(hierarchy.levels) - 1]) == (hierarchy.root.id, node.id)


# --- membership and what is known


@laws
@given(claimed())
def test_a_row_is_own_claims_plus_childrens_rows_and_the_roots_is_ones(case):
    hierarchy, claims = case
    rows = hierarchy.membership(claims)
    assert rows.shape == (len(hierarchy), len(claims))
    assert rows.dtype == np.float32
    assert (rows[0] == 1).all()
    for node in hierarchy.nodes[1:]:
        own = np.array([claim == node.id for claim in claims], dtype=np.float32)
        below = sum(rows[hierarchy.index(child)] for child in node.children)
        assert np.array_equal(rows[hierarchy.index(node.id)], own + below)


@laws
@given(claimed())
def test_a_node_is_unknown_only_below_an_inner_node_that_claims(case):
    hierarchy, claims = case
    known = hierarchy.known(claims)
    assert known.shape == (len(hierarchy),)
    assert known.dtype == np.bool_
    for id in hierarchy.ids:
        above = set(hierarchy.path(id)[:-1])
        assert known[hierarchy.index(id)] == (not above & set(claims))
    assert known[0]


@laws
@given(hierarchies())
def test_unclaimed_stems_and_leaf_claims_leave_everything_known(hierarchy):
    assert hierarchy.known([None, None, *hierarchy.leaves]).all()
    assert hierarchy.known([]).all()
    assert hierarchy.membership([]).shape == (len(hierarchy), 0)


@laws
@given(claimed(), st.randoms())
def test_permuting_siblings_permutes_rows_and_changes_no_number(case, random):
    hierarchy, claims = case
    document = copy.deepcopy(hierarchy.to_dict())
    shuffle(document["tree"], random)
    other = Hierarchy.load(document)
    order = [hierarchy.index(id) for id in other.ids]
    assert np.array_equal(other.membership(claims), hierarchy.membership(claims)[order])
    assert np.array_equal(other.known(claims), hierarchy.known(claims)[order])


def shuffle(tree, random):
    """Reorder siblings in place, at every depth."""
    below = tree.values() if isinstance(tree, dict) else [x for x in tree if isinstance(x, dict)]
    for branch in below:
        shuffle(branch, random)
    if isinstance(tree, list):
        random.shuffle(tree)
    else:
        items = list(tree.items())
        random.shuffle(items)
        tree.clear()
        tree.update(items)


@laws
@given(claimed(), st.data())
def test_a_node_put_above_the_first_leaf_changes_no_number(case, data):
    hierarchy, claims = case
    leaf = data.draw(st.sampled_from(hierarchy.leaves))
    document = hierarchy.to_dict()
    document["tree"] = json.loads(json.dumps(document["tree"]).replace(f'"{leaf}"', json.dumps({"only": [leaf]})))
    if hierarchy.node(leaf).depth == len(hierarchy.levels) - 1:
        document["levels"].append("finest")
    other = Hierarchy.load(document)
    rows, known = other.membership(claims), other.known(claims)
    for id in hierarchy.ids:
        row = hierarchy.membership(claims)[hierarchy.index(id)]
        assert np.array_equal(rows[other.index(id)], row)
        assert known[other.index(id)] == hierarchy.known(claims)[hierarchy.index(id)]
    assert np.array_equal(rows[other.index("only")], rows[other.index(leaf)])


# --- smaller trees


@laws
@given(claimed(), st.data())
def test_a_subtree_has_the_same_rows_below_its_root(case, data):
    hierarchy, claims = case
    inner = [node.id for node in hierarchy.nodes if node.children]
    top = data.draw(st.sampled_from(inner))
    smaller = hierarchy.subtree(top)
    assert smaller.ids == (top, *hierarchy.descendants(top))
    inside = [claim if claim in smaller else None for claim in claims]
    for id in smaller.ids[1:]:
        assert smaller.path(id) == hierarchy.path(id)[hierarchy.node(top).depth :]
        row = hierarchy.membership(claims)[hierarchy.index(id)]
        assert np.array_equal(smaller.membership(inside)[smaller.index(id)], row)
        assert smaller.node(id).level == hierarchy.node(id).level
        assert smaller.node(id).labels == hierarchy.node(id).labels
    assert len(smaller.levels) == 1 + max(node.depth for node in smaller.nodes)
    assert hierarchy.subtree(hierarchy.root.id) == hierarchy
    assert Hierarchy.load(smaller.to_dict()) == smaller


@laws
@given(claimed(), st.data())
def test_collapsing_moves_labels_up_and_keeps_the_rows_that_stay(case, data):
    hierarchy, claims = case
    depth = data.draw(st.integers(1, len(hierarchy.levels) - 1))
    smaller = hierarchy.collapse(depth)
    assert smaller.ids == tuple(node.id for node in hierarchy.nodes if node.depth <= depth)
    assert smaller.levels == hierarchy.levels[: depth + 1]
    moved = [None if claim is None else hierarchy.path(claim)[: depth + 1][-1] for claim in claims]
    kept = [hierarchy.index(id) for id in smaller.ids]
    assert np.array_equal(smaller.membership(moved), hierarchy.membership(claims)[kept])
    assert hierarchy.collapse(len(hierarchy.levels) - 1) == hierarchy
    assert hierarchy.collapse(hierarchy.levels[depth]) == smaller
    assert smaller.collapse(1) == hierarchy.collapse(1)
    assert Hierarchy.load(smaller.to_dict()) == smaller
    for attributes in ({"program_num": at} for at in range(6)):
        if not hierarchy.datasets:
            claim = hierarchy.claim(attributes)
            expected = None if claim is None else hierarchy.path(claim)[: depth + 1][-1]
            assert smaller.claim(attributes) == expected


@laws
@given(documents(), st.data())
def test_every_invalid_change_of_a_valid_tree_is_refused(document, data):
    ids = Hierarchy.load(document).ids
    broken = data.draw(
        st.sampled_from(
            [
                document | {"levels": document["levels"][:-1]},
                document | {"levels": [*document["levels"], "finer"]},
                document | {"levels": [*document["levels"][:-1], document["levels"][0]]},
                document | {"tree": {"root": [*document["tree"]["root"], ids[-1]]}},
                document | {"tree": {"root": [*document["tree"]["root"], "root"]}},
                document | {"tree": {"root": [*document["tree"]["root"], {"empty": []}]}},
                document | {"tree": {"root": [*document["tree"]["root"], "Not Snake"]}},
                document | {"tree": document["tree"] | {"second": ["leaf"]}},
                document | {"match": "inst_class", "labels": {"nobody": "x"}},
                document | {"unknown": 1},
            ]
        )
    )
    with pytest.raises(HierarchyError):
        Hierarchy.load(broken)


# --- claims


def band(**fields) -> Hierarchy:
    tree = {"mixture": {"guitar": ["clean", "distorted"], "keys": ["piano"]}}
    return Hierarchy.load({"name": "band", "levels": ["mixture", "family", "class"], "tree": tree, **fields})


def test_programs_are_numbers_ranges_and_lists():
    hierarchy = band(
        match="program_num",
        labels={"clean": "24-28", "distorted": [29, "30 - 31"], "piano": [0, "1-5", 128]},
        ignore=["120-127"],
    )
    claims = {program: hierarchy.claim({"program_num": program}) for program in range(129)}
    assert [p for p, id in claims.items() if id == "clean"] == [24, 25, 26, 27, 28]
    assert [p for p, id in claims.items() if id == "distorted"] == [29, 30, 31]
    assert [p for p, id in claims.items() if id == "piano"] == [0, 1, 2, 3, 4, 5, 128]
    ignored = [p for p in range(129) if hierarchy.ignores({"program_num": p})]
    assert ignored == list(range(120, 128))
    for value in (24, "24", 24.0, np.int64(24)):
        assert hierarchy.claim({"program_num": value}) == "clean"
    for value in (24.7, "guitar", True, -1, None, "", float("nan"), 10**12):
        assert hierarchy.claim({"program_num": value}) is None
        assert not hierarchy.ignores({"program_num": value})
    assert hierarchy.claim({"plugin_name": "24"}) is None


def test_texts_are_compared_whole_without_case_and_outer_spaces():
    hierarchy = band(match="plugin_name", labels={"clean": "Elektrik [Guitar]*.nkm"})
    assert hierarchy.claim({"plugin_name": " elektrik [guitar]*.NKM "}) == "clean"
    assert hierarchy.claim({"plugin_name": "elektrik g.nkm"}) is None
    assert hierarchy.claim({"plugin_name": "Elektrik [Guitar]*"}) is None


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("clean.wav", "clean"),
        ("Clean", "clean"),
        ("song/stems/CLEAN.flac", "clean"),
        ("song\\clean.wav", "clean"),
        ("clean guitar.wav", None),
        ("gtr_dist_02.wav", "distorted"),
        ("gtr_.wav", "distorted"),
        ("gtr_clean.wav", "piano"),
        ("clean.take.wav", None),
        ("gtr_clean.take.wav", "distorted"),
        ("clean/other.wav", None),
        ("click.mp3", "ignored"),
    ],
)
def test_file_names_are_globs_and_a_name_written_out_goes_first(path, owner):
    labels = {"clean": "clean", "distorted": "gtr_*", "piano": ["gtr_clean", "p*.wav"]}
    hierarchy = band(match="filename", labels=labels, ignore="click.*")
    if owner == "ignored":
        assert hierarchy.ignores({"filename": path})
        owner = None
    assert hierarchy.claim({"filename": path}) == owner


def test_a_file_name_that_fits_two_patterns_is_an_error():
    hierarchy = band(match="filename", labels={"clean": "g*", "distorted": ["*dist*", "*d*"]})
    assert hierarchy.claim({"filename": "old.wav"}) == "distorted"
    with pytest.raises(HierarchyError) as error:
        hierarchy.claim({"filename": "g_dist.wav"})
    assert str(error.value) == (
        "file name 'g_dist.wav' fits two patterns, 'g*' of 'clean' and '*dist*' of 'distorted'; "
        "make the patterns narrower"
    )
    with pytest.raises(HierarchyError, match=r"fits two patterns, 'g\*' of 'clean' and '\*dist\*' of 'ignore'; make"):
        band(match="filename", labels={"clean": "g*"}, ignore="*dist*").claim({"filename": "g_dist.wav"})


def test_a_label_that_begins_with_a_star_names_every_text_that_ends_like_it():
    labels = {"clean": "*:Nylon [2]", "distorted": ["*guitar*", "one.sf2:Loud"], "piano": "*Loud"}
    hierarchy = band(match=["plugin_name", "inst_class"], labels=labels, ignore="*.kit")
    assert hierarchy.claim({"plugin_name": "any.sf2:NYLON [2]"}) == "clean"
    assert hierarchy.claim({"plugin_name": "any.sf2:Nylon 2"}) is None
    assert hierarchy.claim({"plugin_name": "any.sf2 Nylon [2]"}) is None
    assert hierarchy.claim({"plugin_name": "any.sf2:Nylon [2] soft"}) is None
    assert hierarchy.claim({"plugin_name": "a guitar"}) is None  # its second star is a star
    assert hierarchy.claim({"plugin_name": "other", "inst_class": "*Guitar*"}) == "distorted"
    assert hierarchy.claim({"plugin_name": "one.sf2:Loud"}) == "distorted"
    assert hierarchy.claim({"plugin_name": "two.sf2:Loud"}) == "piano"
    assert hierarchy.ignores({"plugin_name": "rock.kit"})
    with pytest.raises(HierarchyError, match=r"^plugin_name 'my kit' fits two patterns, '\*it' of 'clean' and '\*kit'"):
        band(match="plugin_name", labels={"clean": "*it", "piano": "*kit"}).claim({"plugin_name": "my kit"})


def test_several_attributes_are_tried_in_order():
    labels = {"clean": ["24-28", "nylon.nkm"], "guitar": "Guitar", "piano": "Piano"}
    hierarchy = band(match=["plugin_name", "program_num", "inst_class"], labels=labels, ignore="noise.nkm")
    assert hierarchy.claim({"plugin_name": "nylon.nkm", "program_num": 0}) == "clean"
    assert hierarchy.claim({"plugin_name": "x", "program_num": 24, "inst_class": "Piano"}) == "clean"
    assert hierarchy.claim({"program_num": 31, "inst_class": "Guitar"}) == "guitar"
    assert hierarchy.claim({"inst_class": "24-28"}) is None
    noise = {"plugin_name": "noise.nkm", "inst_class": "Guitar"}
    assert hierarchy.claim(noise) is None
    assert hierarchy.ignores(noise)


def test_the_data_set_selects_its_labels():
    blocks = {
        "slakh": {"match": "program_num", "clean": 24},
        "musdb18": {"match": "filename", "guitar": "other", "ignore": "vocals"},
    }
    hierarchy = band(labels=blocks)
    assert hierarchy.datasets == ("slakh", "musdb18")
    attributes = {"program_num": 24, "filename": "other.wav"}
    assert hierarchy.claim(attributes, "slakh") == "clean"
    assert hierarchy.claim(attributes, "musdb18") == "guitar"
    assert hierarchy.ignores({"filename": "vocals.wav"}, "musdb18")
    assert hierarchy.reachable("slakh") == ("mixture", "guitar", "clean")
    assert hierarchy.reachable("musdb18") == ("mixture", "guitar")
    assert hierarchy.node("guitar").labels == (("musdb18", ("other",)),)
    assert hierarchy.subtree("keys").reachable("slakh") == ()
    assert hierarchy.collapse("family").claim(attributes, "slakh") == "guitar"


def test_labels_for_no_data_set_in_particular_fit_any():
    hierarchy = band(match="filename", labels={"clean": "clean"})
    assert hierarchy.claim({"filename": "clean.wav"}, "whatever") == "clean"
    assert hierarchy.datasets == ()
    assert hierarchy.node("clean").labels == (("*", ("clean",)),)


def test_without_labels_nothing_is_claimed_or_reachable():
    hierarchy = band()
    assert hierarchy.claim({"filename": "clean.wav"}) is None
    assert not hierarchy.ignores({"filename": "clean.wav"})
    assert hierarchy.reachable("slakh") == ()


def test_a_claim_by_the_root_makes_everything_below_unknown():
    hierarchy = band(match="filename", labels={"mixture": "full"})
    assert hierarchy.known([hierarchy.claim({"filename": "full.wav"})]).tolist() == [True] + 5 * [False]


def test_a_hierarchy_cannot_be_changed():
    hierarchy = band()
    with pytest.raises(AttributeError):
        hierarchy.name = "other"
    with pytest.raises(AttributeError):
        hierarchy.nodes[0].id = "other"
    rows = hierarchy.membership(["clean"])
    rows[:] = 7
    assert hierarchy.membership(["clean"]).max() == 1


def test_repr_is_short_and_membership_of_a_stranger_is_an_error():
    assert repr(band()) == "Hierarchy('band', mixture 1, family 2, class 3)"
    assert len(band()) == 6
    with pytest.raises(HierarchyError, match="no node 'claen'; did you mean 'clean'"):
        band().membership(["claen"])
    with pytest.raises(HierarchyError, match=r"no node '\['"):
        band().index(["clean"])


# --- the authors' nested JSON

NESTED = {
    "mix": {
        "strings/plucked": {"Clean Guitars": ["a.nkm", "/Library/B[1].component"], "harp": []},
        "bass": ["c.nkm"],
        "voices": {"choir": []},
    }
}


def test_the_authors_json_loads_and_says_what_it_drops(tmp_path):
    path = tmp_path / "ISMIR hierarchy.json"
    path.write_text(json.dumps(NESTED))
    with pytest.warns(HiersepWarning) as warned:
        hierarchy = Hierarchy.load(path)
    assert str(warned[0].message) == f"{path}: left out what claims nothing: 'harp', 'choir', 'voices'"
    assert hierarchy.name == "ismir_hierarchy"
    assert hierarchy.levels == ("mixture", "level_1", "level_2")
    assert hierarchy.ids == ("mix", "strings_plucked", "bass", "clean_guitars")
    assert hierarchy.node("strings_plucked").display == "strings/plucked"
    assert hierarchy.claim({"plugin_name": "A.nkm"}) == "clean_guitars"
    assert hierarchy.claim({"plugin_name": "/Library/B[1].component"}) == "clean_guitars"
    assert hierarchy.claim({"plugin_name": "/Library/B1.component"}) is None
    assert Hierarchy.load(hierarchy.to_dict()) == hierarchy


def test_several_keys_at_the_top_get_a_root():
    hierarchy = Hierarchy.load({"guitar": ["a"], "keys": {"piano": ["b"]}})
    assert hierarchy.name == "nested"
    assert hierarchy.ids == ("mixture", "guitar", "keys", "piano")
    assert Hierarchy.load({"guitar": ["a"]}).ids == ("mixture", "guitar")


def test_names_that_are_no_ids_are_shown_where_they_can_be(tmp_path):
    path = tmp_path / "音.json"
    path.write_text(json.dumps({"mix": {"Clean\x07 Guitars": ["a"], " Grand Piano (CP-80) ": ["b"], "organ": ["c"]}}))
    hierarchy = Hierarchy.load(path)
    assert hierarchy.name == "nested"
    shown = {node.id: node.display for node in hierarchy.nodes}
    assert shown["grand_piano_cp_80"] == "Grand Piano (CP-80)"
    assert shown["clean_guitars"] == "clean guitars"
    assert shown["organ"] == "organ"


def test_what_claims_nothing_hides_nothing_behind_it():
    with pytest.warns(HiersepWarning, match="left out what claims nothing: 'harp'"):
        hierarchy = Hierarchy.load({"mix": {"harp": [], "bass": ["a"]}})
    assert hierarchy.ids == ("mix", "bass")


def test_an_authors_json_that_claims_nothing_is_an_error():
    with (
        pytest.warns(HiersepWarning),
        pytest.raises(HierarchyError, match=r"^hierarchy: node 'mix' has no children"),
    ):
        Hierarchy.load({"mix": {"guitar": []}})
