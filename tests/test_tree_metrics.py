"""Whether outputs form a tree: known in closed form, and nothing to complain of where they do."""

import pytest
import torch
from helpers import tone
from hypothesis import given, settings
from hypothesis import strategies as st

from hiersep.errors import HierarchyError
from hiersep.hierarchy import Hierarchy
from hiersep.metrics import exceedance, score_tree, sum_error_db
from hiersep.models.constraints import running_maximum
from hiersep.models.query import QuerySeparator
from hiersep.models.separator import Separation
from hiersep.stft import STFT

TRANSFORM = STFT(64, 32)
TREE = Hierarchy.load(
    {
        "name": "small",
        "levels": ["mixture", "group", "instrument"],
        "tree": {"mixture": {"plucked": ["guitar", "harp"], "struck": ["piano"], "blown": ["flute", "oboe"]}},
        "match": "instrument",
        "labels": {name: name for name in ("guitar", "harp", "piano", "flute", "oboe")},
    }
)
ALL = list(TREE.ids[1:])
seeds = st.integers(0, 999)


def random(seed, *shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def separated(masks, seed=0):
    """Masks (batch, node, freq, frame) applied to noise of 320 samples, of 33 bins and 11 frames."""
    mixture = random(seed, len(masks), 1, 320) - 0.5
    return Separation(mixture, TRANSFORM(mixture), masks[:, :, None], TRANSFORM)


def shared(seed, batch=2):
    """Masks of all nodes of the tree in which children share what their parent has, to the last bit of it."""
    masks = {TREE.root.id: torch.ones(batch, 33, 11)}
    for id in TREE.ids:
        children = TREE.node(id).children
        parts = torch.softmax(4 * random(seed + len(masks), len(children), batch, 33, 11), dim=0) if children else ()
        masks.update({child: masks[id] * part for child, part in zip(children, parts, strict=True)})
    return torch.stack([masks[id] for id in ALL], dim=1)


def test_exceedance_is_a_share_of_bins_and_of_the_childs_energy():
    parent = torch.tensor([[[1.0, 1.0], [0.0, 2.0]]])
    child = torch.tensor([[[2.0, 1.0], [1.0, -2.0]]])  # louder in two bins of four, with 5 of 10 in energy
    share, energy = exceedance(child, parent)
    assert (share.item(), energy.item()) == pytest.approx((0.5, 0.5))
    turned = exceedance(1j * child, parent)
    assert torch.stack(turned).tolist() == pytest.approx([0.5, 0.5])
    assert torch.stack(exceedance(0 * child, parent)).tolist() == [0, 0]
    assert torch.stack(exceedance(child, 0 * parent)).tolist() == [1, 1]


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_what_is_not_finite_has_no_exceedance_and_spoils_no_other(broken):
    sound = torch.ones(3, 1, 2, 2)
    spoilt = sound.clone()
    spoilt[1, 0, 0, 1] = broken
    for child, parent in ((spoilt, sound), (sound, spoilt)):
        for shares in exceedance(child, parent):
            assert shares.isnan().tolist() == [False, True, False]


def test_masks_that_are_broken_make_no_tree_and_no_silence():
    masks = shared(0)
    masks[0, ALL.index("guitar")] = torch.nan
    scores, whole = score_tree(separated(masks), TREE, ALL), score_tree(separated(shared(0)), TREE, ALL)
    broken = [node == "guitar" for node in ALL]
    for name in ("exceeding_bins", "exceeding_energy"):
        assert getattr(scores, name)[0].isnan().tolist() == broken
        assert torch.equal(getattr(scores, name)[1], getattr(whole, name)[1])
    assert not scores.near_silent.any()
    assert scores.sum_error_db["plucked"].isnan().tolist() == [True, False]


@pytest.mark.parametrize("levels", [None, ["group", "class"], ["class"]], ids=["all levels", "two", "one"])
def test_the_levels_that_a_query_leads_to_are_a_path(levels):
    sizes = {"hidden_size": 4, "num_layers": 1}
    spectrum = {"n_fft": 64, "hop_length": 32}
    model = QuerySeparator("slakh34", levels, spectrum=spectrum, network=sizes, query=sizes).eval()
    masks = random(1, 2, len(model.nodes), 33, 11)
    scores = score_tree(separated(masks), model.hierarchy, model.nodes)
    louder = [torch.zeros(2), *((masks[:, n] > masks[:, n - 1]).float().mean((1, 2)) for n in range(1, masks.shape[1]))]
    torch.testing.assert_close(scores.exceeding_bins, torch.stack(louder, dim=1))
    assert scores.sum_error_db == {}


def test_levels_may_be_called_like_nodes():
    tree = Hierarchy.load(
        {
            "name": "confusing",
            "levels": ["mixture", "guitar", "harp"],
            "tree": {"mixture": {"plucked": ["guitar", "harp"], "struck": ["piano"]}},
            "match": "instrument",
            "labels": {name: name for name in ("guitar", "harp", "piano")},
        }
    )
    masks = random(1, 2, 2, 33, 11)
    scores = score_tree(separated(masks), tree, ["guitar", "harp"])
    torch.testing.assert_close(scores.exceeding_bins[:, 1], (masks[:, 1] > masks[:, 0]).float().mean((1, 2)))


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        (["guitr"], "no node 'guitr'; did you mean 'guitar'"),
        (["group", "guitar"], "no node 'group'"),  # a level among nodes
        (["mixture", "guitar"], "^nodes: expected none but nodes below the root, got the root, 'mixture'$"),
    ],
)
def test_what_is_neither_nodes_nor_levels_is_named(nodes, words):
    with pytest.raises(HierarchyError, match=words):
        score_tree(separated(random(1, 1, len(nodes), 33, 11)), TREE, nodes)


@pytest.mark.parametrize("missing_db", [-40.0, -6.0, 0.0])
def test_the_sums_error_is_relative_to_the_parent(missing_db):
    a, b = (torch.from_numpy(tone(0.5, hz=hz)) for hz in (400, 1000))
    parent = a + b
    children = torch.stack([a, (1 - 10 ** (missing_db / 20)) * b])
    # What is missing of one of two tones is 3 dB less, relative to both.
    assert sum_error_db(parent, children).item() == pytest.approx(missing_db - 3.0103, abs=1e-3)
    remainder = parent - children.sum(0)
    assert sum_error_db(parent, torch.cat([children, remainder[None]])).item() < -100


def test_the_sums_error_has_limits_and_no_value_in_silence():
    wave = torch.from_numpy(tone(0.1))
    assert sum_error_db(wave, torch.stack([wave, 0 * wave])) == -120
    assert sum_error_db(wave, 0 * wave[None]) == 0
    assert sum_error_db(0 * wave, wave[None]) == 120
    assert sum_error_db(0 * wave, 0 * wave[None]).isnan()


def test_a_parent_is_judged_as_if_it_were_alone():
    loudness = torch.tensor([1e-3, 1.0, 30.0, 0.0]).view(4, 1, 1)
    parents, children = loudness * random(0, 4, 1, 500), loudness.view(4, 1, 1, 1) * random(1, 4, 2, 1, 500)
    together = sum_error_db(parents, children)
    for at in range(4):
        torch.testing.assert_close(together[at], sum_error_db(parents[at], children[at]), equal_nan=True)
    child, parent = children[:, 0, :, :].reshape(4, 1, 20, 25), parents.flip(0).reshape(4, 1, 20, 25)
    for shares, alone in zip(exceedance(child, parent), zip(*map(exceedance, child, parent), strict=True), strict=True):
        torch.testing.assert_close(shares, torch.stack(alone), equal_nan=True)


@settings(max_examples=15)
@given(seeds, st.permutations(ALL))
def test_a_tree_of_shares_has_nothing_to_complain_of_in_any_order_of_nodes(seed, nodes):
    masks = shared(seed)[:, [ALL.index(node) for node in nodes]]
    scores = score_tree(separated(masks), TREE, nodes)
    assert not scores.exceeding_bins.any()
    assert not scores.exceeding_energy.any()
    assert not scores.near_silent.any()
    assert set(scores.sum_error_db) == {"mixture", "plucked", "struck", "blown"}
    for error in scores.sum_error_db.values():
        assert error.shape == (2,)
        assert (error < -100).all()


@settings(max_examples=15)
@given(seeds)
def test_a_path_under_the_constraint_never_exceeds_and_one_without_does(seed):
    nodes = ["plucked", "guitar"]
    masks = random(seed, 2, 2, 33, 11)
    free = score_tree(separated(masks), TREE, nodes)
    bound = score_tree(separated(running_maximum(masks)), TREE, nodes)
    assert not bound.exceeding_bins.any()
    # The mixture is the parent of the top: no mask in [0, 1] is louder than it. Else the share is that of the masks.
    assert not free.exceeding_bins[:, 0].any()
    torch.testing.assert_close(free.exceeding_bins[:, 1], (masks[:, 1] > masks[:, 0]).float().mean((1, 2)))
    assert (free.exceeding_energy[:, 1] > free.exceeding_bins[:, 1]).all()
    assert free.sum_error_db == {}  # no parent's children are all there


def test_the_parent_is_the_nearest_ancestor_that_is_there():
    masks = torch.full((1, 2, 33, 11), 0.5)
    masks[:, 1] = 0.7
    beside = score_tree(separated(masks), TREE, ["struck", "guitar"])
    below = score_tree(separated(masks), TREE, ["struck", "piano"])
    assert beside.exceeding_bins.tolist() == [[0, 0]]  # guitar is no child of struck: its parent is the mixture
    assert below.exceeding_bins.tolist() == [[0, 1]]
    # piano is struck's only child: 0.5 - 0.7 of 0.5.
    assert below.sum_error_db["struck"].item() == pytest.approx(20 * torch.log10(torch.tensor(0.4)).item(), abs=1e-2)
    louder = score_tree(separated(2 * masks), TREE, ["struck", "guitar"])  # as complex masks may be
    assert louder.exceeding_bins.tolist() == [[0, 1]]


def test_outputs_next_to_nothing_are_counted():
    masks = torch.ones(1, 3, 33, 11) * torch.tensor([1.0, 2e-3, 5e-4]).view(1, 3, 1, 1)
    assert score_tree(separated(masks), TREE, ["plucked", "struck", "blown"]).near_silent.tolist() == [
        [False, False, True]
    ]
    separation = separated(masks)
    silence = separation._replace(mixture=0 * separation.mixture, spectrum=0 * separation.spectrum)
    scores = score_tree(silence, TREE, ["plucked", "struck", "blown"])
    assert scores.near_silent.all()
    assert scores.sum_error_db["mixture"].isnan().all()
