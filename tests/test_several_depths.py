"""Data sets of different depth under one tree: what one does not tell apart it does not teach, and another does."""

import pytest
import torch
from helpers import ACOUSTIC_GUITAR, BASS, DRUMS, PIANO, noise, tone, write_audio, write_slakh

from hiersep import HierarchicalMixtureDataset, Hierarchy
from hiersep.losses import LOSSES, mean_over_known
from hiersep.models.tree import TreeSeparator

RATE = 4000
NODES = ("vocals", "drums", "bass", "other", "drum_kit", "guitar", "keyboards", "acoustic_guitar", "piano")
BELOW = NODES[4:]  # what MUSDB18 does not know


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    """Mixtures of both data sets, by data set."""
    root = tmp_path_factory.mktemp("depths")
    sounds = [tone(3, hz=hz, rate=RATE) for hz in (110, 330, 700)]
    song = list(zip((BASS, ACOUSTIC_GUITAR, PIANO), sounds, strict=True))
    write_slakh(root / "slakh", {"train/Track00001": [*song, (DRUMS, noise(3, rate=RATE))]}, rate=RATE)
    stems = dict(zip(("bass", "other", "vocals"), sounds, strict=True)) | {"drums": noise(3, rate=RATE)}
    for name, samples in {**stems, "mixture": sum(stems.values())}.items():
        write_audio(root / "musdb18/train/A Song" / f"{name}.wav", samples, RATE)
    dataset = HierarchicalMixtureDataset(
        [root / "slakh", root / "musdb18"], "universal", split="train", target=NODES, num_mixtures=16, duration=1.0,
        sample_rate=RATE, jobs=1,
    )  # fmt: skip
    assert dataset.nodes == NODES
    found = {"slakh": [], "musdb18": []}
    for number in range(len(dataset)):
        found[dataset.catalog_of(number).dataset].append(dataset[number])
    assert all(found.values())
    return found


def gradient_of_masks(items, loss):
    """How far the loss of some items depends on the mask of each node, as nodes by absolute sum."""
    torch.manual_seed(0)
    model = TreeSeparator("universal", NODES, sample_rate=RATE, network={"hidden_size": 4, "num_layers": 1},
                          spectrum={"n_fft": 256, "hop_length": 128})  # fmt: skip
    batch = {name: torch.stack([item[name] for item in items]) for name in ("mix", "sources", "known")}
    separation = model.separate_batch(batch["mix"])
    masks = separation.masks.detach().requires_grad_()
    value = mean_over_known(LOSSES[loss](separation._replace(masks=masks), batch["sources"]), batch["known"])
    (gradient,) = torch.autograd.grad(value, masks)
    return dict(zip(NODES, gradient.abs().sum(dim=(0, 2, 3, 4)).tolist(), strict=True))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_shallow_data_set_teaches_its_own_nodes_and_nothing_below_them(items, loss):
    taught = gradient_of_masks(items["musdb18"], loss)
    assert {node for node, gradient in taught.items() if gradient > 0} == set(NODES) - set(BELOW)


def test_a_deep_data_set_teaches_them_all(items):
    taught = gradient_of_masks(items["slakh"], "negative_snr")
    assert all(gradient > 0 for gradient in taught.values())


@pytest.mark.parametrize("loss", LOSSES)
def test_in_one_batch_the_finer_nodes_learn_as_from_the_deep_data_set_alone(items, loss):
    deep, mixed = items["slakh"][:2], [*items["slakh"][:2], *items["musdb18"][:2]]
    alone, beside = gradient_of_masks(deep, loss), gradient_of_masks(mixed, loss)
    for node in BELOW:
        assert beside[node] == pytest.approx(alone[node], rel=1e-4), node


def test_what_is_known_is_what_each_data_set_tells_apart(items):
    hierarchy = Hierarchy.load("universal")
    for item in items["musdb18"]:
        assert {node for node, known in zip(NODES, item["known"], strict=True) if not known} == set(BELOW)
    assert all(item["known"].all() for item in items["slakh"])
    assert all(hierarchy.node(node).depth > 1 for node in BELOW)
