"""The hierarchical constraint: every level is the running maximum from the target upward."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hiersep.models.constraints import running_maximum

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
