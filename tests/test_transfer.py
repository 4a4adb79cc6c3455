"""Fine-tuning begins with what another network learned: shared nodes sound as they did, and what is left is said."""

import pytest
import torch

from hiersep.errors import CheckpointError, ConfigError
from hiersep.hierarchy import Hierarchy
from hiersep.models import checkpoint
from hiersep.models.path import PathSeparator
from hiersep.models.query import QuerySeparator
from hiersep.models.transfer import take_over
from hiersep.models.tree import TreeSeparator

PATH = ["strings_guitars_keyboards", "guitar", "clean_guitars"]
FREE = {"hidden_size": 4, "num_layers": 1, "constraint": "none"}
COMMON = {"sample_rate": 8000, "spectrum": {"n_fft": 64, "hop_length": 32}}
BAND = {
    "name": "band",
    "levels": ["mixture", "group", "instrument"],
    "tree": {"mixture": [{"plucked": ["guitar", "bass"]}, "drums"]},
}
# One more child of plucked, before the others, and a branch that is not in the first.
BIG_BAND = {
    "name": "big_band",
    "levels": ["mixture", "group", "instrument"],
    "tree": {"mixture": [{"winds": ["flute"]}, {"plucked": ["banjo", "guitar", "bass"]}, "drums"]},
}


def make(kind, *arguments, seed, **options):
    """A network that has seen some sound, so that its normalisation is not the one that it was made with."""
    torch.manual_seed(seed)
    settings = {"network": FREE, **COMMON, **options}
    if kind is QuerySeparator:
        settings["query"] = {"hidden_size": 3, "num_layers": 1, "embedding_size": 2, **options.get("query", {})}
    model = kind(*arguments, **settings)
    with torch.no_grad():
        sound = torch.rand(2, 1, 2000) - 0.5
        model(sound, sound[:, :, :700]) if kind is QuerySeparator else model(sound)
    return model.eval()


@pytest.fixture(scope="module")
def sound():
    return torch.rand((2, 2, 1500), generator=torch.Generator().manual_seed(3)) - 0.5


def masks(model, sound, condition=None):
    with torch.inference_mode():
        return model.separate_batch(sound, condition).masks


def logits(model, sound):
    """What the head of a tree gives, by what it means."""
    with torch.inference_mode():
        values = model.head_values(model.stft(sound))
    names = []
    for parent, _, children in model.branchings:
        names += [*((parent, model.nodes[child]) for child in children), (parent, None)]
    return dict(zip(names, values.unbind(dim=1), strict=True))


def equal(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=0)


# paths


@pytest.mark.parametrize("nodes", [PATH, PATH[1:], PATH[:1], [PATH[0], PATH[2]]])
def test_the_shared_nodes_of_a_path_are_masked_as_by_the_source(nodes, sound, tmp_path):
    source = make(PathSeparator, "slakh_ismir2020", PATH, seed=0)
    model = make(PathSeparator, "slakh_ismir2020", nodes, seed=1)
    places = [PATH.index(node) for node in nodes]
    assert not torch.allclose(masks(model, sound), masks(source, sound)[:, places], atol=1e-3)
    checkpoint.save(source, tmp_path / "source.safetensors")
    taken = take_over(model, tmp_path / "source.safetensors")
    equal(masks(model, sound), masks(source, sound)[:, places])
    assert taken.outputs == tuple(nodes)
    assert taken.left == ()
    assert taken.unused == tuple(f"head: {node}" for node in PATH if node not in nodes)
    assert taken.values == taken.total
    assert taken.source == str(tmp_path / "source.safetensors")


def test_nodes_that_the_source_does_not_know_stay_as_made(sound):
    source = make(PathSeparator, "slakh_ismir2020", PATH[1:], seed=0)
    model = make(PathSeparator, "slakh_ismir2020", PATH, seed=1)
    head = model.head.weight.detach().clone()
    taken = take_over(model, source)
    equal(masks(model, sound)[:, 1:], masks(source, sound))
    equal(model.head.weight[:33], head[:33])
    assert taken.outputs == tuple(PATH[1:])
    assert taken.left == ((f"head: {PATH[0]}", "not in the source"),)
    assert taken.total - taken.values == 33 * (2 * 4 + 1)  # of one node: bins, times backbone's units and one bias


def test_nodes_of_another_hierarchy_are_known_by_their_ids(sound):
    source = make(PathSeparator, "slakh_ismir2020", PATH, seed=0)
    model = make(PathSeparator, BAND, ["plucked", "guitar"], seed=1)
    assert take_over(model, source).outputs == ("guitar",)
    equal(masks(model, sound)[:, 1], masks(source, sound)[:, 1])


def test_the_source_is_left_as_it_was(sound):
    source = make(PathSeparator, "slakh_ismir2020", PATH, seed=0)
    before = {name: value.clone() for name, value in source.state_dict().items()}
    model = make(PathSeparator, "slakh_ismir2020", PATH, seed=1).train()
    take_over(model, source)
    step(model, sound)
    for name, value in source.state_dict().items():
        equal(value, before[name])


def test_a_complex_path_takes_both_parts_of_its_masks_over(sound):
    options = {"network": {**FREE, "mask": "complex"}}
    source = make(PathSeparator, "slakh_ismir2020", PATH, seed=0, **options)
    model = make(PathSeparator, "slakh_ismir2020", PATH[1:], seed=1, **options)
    take_over(model, source)
    equal(masks(model, sound), masks(source, sound)[:, 1:])


def test_a_band_split_path_takes_its_bands_heads_over(sound):
    sizes = {"backbone": "bandsplit", "width": 4, "hidden_size": 4, "num_layers": 1, "num_heads": 1, "num_bands": 5}
    source = make(PathSeparator, "slakh_ismir2020", PATH, seed=0, network={**sizes, "constraint": "none"})
    model = make(PathSeparator, "slakh_ismir2020", PATH[1:], seed=1, network={**sizes, "constraint": "none"})
    take_over(model, source)
    # Smaller matrices are summed in another order: the last bit may differ.
    torch.testing.assert_close(masks(model, sound), masks(source, sound)[:, 1:], rtol=0, atol=1e-6)


# trees


def test_a_tree_takes_the_same_tree_over_whole(sound):
    source, model = (make(TreeSeparator, BAND, seed=seed) for seed in (0, 1))
    taken = take_over(model, source)
    equal(masks(model, sound), masks(source, sound))
    assert taken.outputs == (
        "plucked in mixture",
        "drums in mixture",
        "rest of mixture",
        "guitar in plucked",
        "bass in plucked",
        "rest of plucked",
    )
    assert taken.values == taken.total


def test_a_tree_with_more_children_gives_the_shared_ones_the_logits_of_the_source(sound):
    source, model = make(TreeSeparator, BAND, seed=0), make(TreeSeparator, BIG_BAND, seed=1)
    taken = take_over(model, source)
    here, there = logits(model, sound), logits(source, sound)
    for name, values in there.items():
        equal(here[name], values)
    new = {("mixture", "winds"), ("winds", "flute"), ("winds", None), ("plucked", "banjo")}
    assert here.keys() - there.keys() == new
    assert dict(taken.left) == {
        "head: winds in mixture": "not in the source",
        "head: flute in winds": "not in the source",
        "head: rest of winds": "not in the source",
        "head: banjo in plucked": "not in the source",
    }


def test_a_child_of_another_parent_is_another_share(sound):
    moved = {**BAND, "tree": {"mixture": [{"plucked": ["guitar"]}, {"low": ["bass", "drums"]}]}}
    taken = take_over(make(TreeSeparator, moved, seed=1), make(TreeSeparator, BAND, seed=0))
    assert taken.outputs == ("plucked in mixture", "rest of mixture", "guitar in plucked", "rest of plucked")
    assert "head: drums in mixture" in taken.unused


# queries


def test_the_shared_levels_of_a_query_network_are_masked_as_by_the_source(sound):
    source = make(QuerySeparator, "slakh34", seed=0)
    model = make(QuerySeparator, "slakh34", ["family"], seed=1)
    taken = take_over(model, source)
    assert taken.outputs == ("family",)
    assert taken.unused == ("head: group", "head: class")
    anchor = source.embed(sound[:, :, :600])
    equal(model.embed(sound[:, :, :600]), anchor)
    equal(masks(model, sound, anchor), masks(source, sound, anchor)[:, 1:2])


def test_levels_are_no_nodes(sound):
    source = make(PathSeparator, {**BAND, "levels": ["mixture", "a", "b"]}, ["plucked", "guitar"], seed=0)
    model = make(QuerySeparator, {**BAND, "levels": ["mixture", "plucked", "guitar"]}, seed=1)
    taken = take_over(model, source)
    assert taken.outputs == ()
    assert dict(taken.left)["head: plucked"] == "rows of a PathSeparator"
    assert dict(taken.left)["backbone.lstm.weight_ih_l0"] == "(16, 35) here, (16, 33) there"
    assert dict(taken.left)["query_network.norm.weight"] == "not in the source"


# between kinds and sizes


@pytest.mark.parametrize("turned", [False, True])
def test_the_trunk_of_a_path_serves_a_tree_and_the_other_way_round(turned, sound):
    kinds = [(PathSeparator, "slakh_ismir2020", PATH), (TreeSeparator, BAND)]
    (source, model) = (make(*kind, seed=seed) for seed, kind in enumerate(reversed(kinds) if turned else kinds))
    head = model.head.weight.detach().clone()
    taken = take_over(model, source)
    spectrum = model.stft(sound)[:, 0]
    with torch.inference_mode():
        equal(model.backbone(model._features(spectrum)), source.backbone(source._features(spectrum)))
    equal(model.head.weight, head)
    assert taken.outputs == ()
    assert {reason for _, reason in taken.left} == {f"rows of a {type(source).__name__}"}


@pytest.mark.parametrize("layers", [(2, 1), (1, 2)])
def test_a_head_is_not_set_on_another_backbone(layers):
    source, model = (
        make(PathSeparator, "slakh_ismir2020", PATH, seed=seed, network={**FREE, "num_layers": n, "dropout": 0.0})
        for seed, n in enumerate(layers)
    )
    head = model.head.weight.detach().clone()
    taken = take_over(model, source)
    equal(model.backbone.lstm.weight_ih_l0, source.backbone.lstm.weight_ih_l0)
    equal(model.head.weight, head)
    assert taken.outputs == ()
    assert dict(taken.left)["head: guitar"] == "its rows belong to another backbone"
    assert taken.settings == (f"network.num_layers: {layers[1]} here, {layers[0]} there",)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sample_rate": 16000}, ["8000 Hz", "16000 Hz"]),
        ({"spectrum": {"n_fft": 128, "hop_length": 32}}, ["n_fft 64", "n_fft 128"]),
        ({"network": {**FREE, "hidden_size": 5}}, ["nothing", "'hidden_size': 5"]),
        ({"network": {"backbone": "dprnn", "hidden_size": 4, "num_repeats": 1, "width": 4}}, ["nothing", "dprnn"]),
    ],
)
def test_a_source_of_which_nothing_fits_is_refused_and_the_network_stays_as_made(options, words):
    source = make(PathSeparator, "slakh_ismir2020", PATH, seed=0, **options)
    model = make(PathSeparator, "slakh_ismir2020", PATH, seed=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ConfigError) as caught:
        take_over(model, source)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    for name, value in model.state_dict().items():
        equal(value, before[name])


def test_another_hop_and_another_constraint_do_not_hinder_and_are_said():
    source = make(PathSeparator, "slakh_ismir2020", PATH, seed=0)
    spectrum, network = {"n_fft": 64, "hop_length": 16}, {**FREE, "constraint": "max"}
    model = make(PathSeparator, "slakh_ismir2020", PATH, seed=1, spectrum=spectrum, network=network)
    taken = take_over(model, source)
    assert taken.values == taken.total
    assert taken.settings == ("spectrum.hop_length: 16 here, 32 there", "network.constraint: max here, none there")


def test_a_checkpoint_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        take_over(make(PathSeparator, "slakh_ismir2020", PATH, seed=0), tmp_path / "none.safetensors")


# what comes after


def step(model, sound):
    """One step of a training; returns the loss."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    loss = model(sound).square().mean()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


@pytest.mark.parametrize(
    ("kind", "source", "target"),
    [
        (PathSeparator, ("slakh_ismir2020", PATH), ("slakh_ismir2020", PATH[1:])),
        (TreeSeparator, (BAND,), (BIG_BAND,)),
    ],
)
def test_a_network_that_took_over_goes_on_learning(kind, source, target, sound):
    model = make(kind, *target, seed=1)
    take_over(model, make(kind, *source, seed=0))
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    model.train()
    first, second = step(model, sound), step(model, sound)
    assert second < first
    for name, value in model.named_parameters():
        assert value.requires_grad
        assert not torch.equal(value, before[name]), name


def test_what_was_taken_over_is_said_in_a_few_lines():
    source = make(QuerySeparator, "universal", seed=0)
    model = make(TreeSeparator, Hierarchy.load("slakh34"), seed=1)
    lines = take_over(model, source).lines()
    assert lines[0].startswith("Taken over from a QuerySeparator: ")
    assert "of the head: nothing" in lines[1]
    assert any("as made: backbone.lstm.weight_ih_l0, " in line and "here, " in line for line in lines)
    assert any("rows of a QuerySeparator" in line and " more " in line for line in lines)
    assert any(line.startswith("  no place here: query_network.norm.weight") for line in lines)
    assert len(lines) < 8
    assert max(map(len, lines)) < 300
