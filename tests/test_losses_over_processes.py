"""A batch spread over processes: the losses' reduction and DistributedDataParallel make the whole batch's gradient."""

import pytest
import torch
from torch import distributed, multiprocessing, nn

from hiersep.losses import mean_over_known

ITEMS, NODES, FEATURES, PROCESSES = 7, 4, 5, 2


def batch():
    """Seven items of four nodes; in processes of 4 and 3 items, node 1 is known in one process only, node 3 in none."""
    generator = torch.Generator().manual_seed(588)
    inputs, targets = torch.randn(2, ITEMS, FEATURES, generator=generator)
    known = torch.rand(ITEMS, NODES, generator=generator) < 0.6
    known[1::PROCESSES, 1] = False
    known[0, 1] = True
    known[:, 3] = False
    return inputs, targets[:, :NODES], known


def network():
    torch.manual_seed(0)
    return nn.Linear(FEATURES, NODES)


def loss_of(model, inputs, targets, known):
    return mean_over_known((model(inputs) - targets).square(), known)


def train_step(rank, meeting_point):
    """Compare this process's averaged gradient, and the mean of the losses, with those of the whole batch."""
    torch.set_num_threads(1)
    whole = network()
    expected = loss_of(whole, *batch())
    expected.backward()
    distributed.init_process_group("gloo", init_method=meeting_point, rank=rank, world_size=PROCESSES)
    try:
        spread = nn.parallel.DistributedDataParallel(network())
        loss = loss_of(spread, *(tensor[rank::PROCESSES] for tensor in batch()))
        loss.backward()
        for found, wanted in zip(spread.parameters(), whole.parameters(), strict=True):
            torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-5, atol=1e-7)
        mean = loss.detach() / PROCESSES
        distributed.all_reduce(mean)
        torch.testing.assert_close(mean, expected.detach())
    finally:
        distributed.destroy_process_group()


def test_two_processes_make_the_gradient_of_the_joint_batch(tmp_path):
    _, _, known = batch()
    counts = torch.stack([known[rank::PROCESSES].sum(0) for rank in range(PROCESSES)])
    assert counts[1, 1] == 0 < counts[0, 1]
    assert not torch.equal(counts[0], counts[1])
    multiprocessing.spawn(train_step, (f"file://{tmp_path}/meeting",), nprocs=PROCESSES)


def test_counting_each_process_for_itself_would_be_another_gradient():
    inputs, targets, known = batch()
    joint, naive = network(), network()
    loss_of(joint, inputs, targets, known).backward()
    for rank in range(PROCESSES):
        part = (tensor[rank::PROCESSES] for tensor in (inputs, targets, known))
        (loss_of(naive, *part) / PROCESSES).backward()
    with pytest.raises(AssertionError):
        torch.testing.assert_close(naive.weight.grad, joint.weight.grad, rtol=1e-2, atol=1e-3)
