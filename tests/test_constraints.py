"""The hierarchical constraint: every level is the running maximum from the target upward."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hiersep.errors import ConfigError
from hiersep.hierarchy import Hierarchy
from hiersep.models.constraints import HierarchicalConstraint, PathMasks, kind_of, running_maximum

masks = arrays(np.float32, array_shapes(min_dims=2, max_dims=4, max_side=4), elements=st.floats(0, 1, width=32))


@given(masks)
def test_it_is_the_running_maximum_from_the_finest_level_upward(values):
    expected = np.flip(np.maximum.accumulate(np.flip(values, 1), axis=1), 1)
    np.testing.assert_array_equal(running_maximum(torch.from_numpy(values)).numpy(), expected)


@given(masks)
def test_it_never_lowers_leaves_the_finest_and_is_idempotent(values):
    before = torch.from_numpy(values)
    once = running_maximum(before)
    assert (once >= before).all()
    assert torch.equal(once[:, -1], before[:, -1])
    assert (once[:, :-1] >= once[:, 1:]).all()
    assert torch.equal(running_maximum(once), once)


def test_a_parent_above_its_child_is_kept_and_not_replaced_by_the_child():
    # The trap that METHOD names: returning the child's mask gives [0.2, 0.5, 0.5] here.
    levels = torch.tensor([[0.9, 0.2, 0.5]])
    assert running_maximum(levels).tolist() == [[np.float32(0.9), 0.5, 0.5]]


def test_the_gradient_goes_to_the_mask_that_won():
    levels = torch.tensor([[0.9, 0.2, 0.5]], requires_grad=True)
    running_maximum(levels)[0, :2].sum().backward()
    assert levels.grad.tolist() == [[1.0, 0.0, 1.0]]


@given(masks)
def test_the_layer_takes_the_running_maximum_or_leaves_masks_as_they_are(values):
    before = torch.from_numpy(values)
    assert torch.equal(HierarchicalConstraint("max")(before), running_maximum(before))
    assert torch.equal(HierarchicalConstraint()(before), running_maximum(before))
    assert torch.equal(HierarchicalConstraint("none")(before), before)


def test_the_layer_has_nothing_to_learn_and_says_its_kind():
    layer = HierarchicalConstraint("none")
    assert not layer.state_dict()
    assert not [*layer.parameters()]
    assert repr(layer) == "HierarchicalConstraint(none)"


@pytest.mark.parametrize("kind", ["maximum", "", None])
def test_another_kind_is_refused_and_not_taken_for_none(kind):
    with pytest.raises(ConfigError, match=rf"^constraint: expected none or max, got {kind!r}"):
        HierarchicalConstraint(kind)


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=4, max_side=4), elements=st.floats(-50, 50, width=32)))
def test_masks_of_a_path_are_sigmoids_of_what_the_head_gives_and_then_constrained(values):
    heads = torch.from_numpy(values)
    free, bound = PathMasks("none")(heads), PathMasks("max")(heads)
    np.testing.assert_allclose(free, 1 / (1 + np.exp(-values.astype(np.float64))), rtol=1e-5, atol=1e-12)
    assert torch.equal(bound, running_maximum(free))
    assert bound.min() >= 0
    assert bound.max() <= 1


def test_complex_masks_of_a_path_are_what_the_head_gives():
    heads = torch.complex(torch.linspace(-3, 3, 12), torch.linspace(5, -5, 12)).view(2, 3, 2)
    assert torch.equal(PathMasks("none")(heads), heads)


def test_nodes_of_one_path_are_a_path_whatever_is_left_out_of_it_and_others_a_tree():
    tree = Hierarchy.load({"name": "t", "levels": ["m", "a", "b"], "tree": {"m": [{"x": ["p", "q"]}, "y"]}})
    paths = [["x"], ["p"], ["x", "p"], ["m", "q"], ["m", "x", "q"], ["y"]]
    assert {kind_of(tree, nodes) for nodes in paths} == {"path"}
    assert {kind_of(tree, nodes) for nodes in (["x", "y"], ["p", "q"], ["x", "p", "q"], ["y", "p"])} == {"tree"}
