"""The path network: which nodes make a path, the constraint, and what the head's values mean.

What holds of every separator stands in `test_separators.py` and `test_asteroid.py`.
"""

import numpy as np
import pytest
import torch
from helpers import noise, tone

from hiersep.errors import ConfigError, HierarchyError
from hiersep.models.path import PathSeparator

PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
SPECTRUM = {"n_fft": 64, "hop_length": 32}
LSTM = {"hidden_size": 6, "num_layers": 2}
KINDS = {
    "none": {**LSTM, "constraint": "none"},
    "max": {**LSTM, "constraint": "max"},
    "complex": {**LSTM, "constraint": "none", "mask": "complex"},
}


def make(nodes=PATH, *, kind="max", spectrum=SPECTRUM, seed=0):
    torch.manual_seed(seed)
    return PathSeparator("slakh_ismir2020", nodes, sample_rate=8000, spectrum=spectrum, network=KINDS[kind]).eval()


@pytest.fixture(scope="module")
def models():
    return {kind: make(kind=kind) for kind in KINDS}


@pytest.fixture
def mixture():
    """Half a second of two tones and noise: (batch, channel, time)."""
    channels = [tone(0.5, hz=300, rate=8000), tone(0.5, hz=2000, rate=8000) + noise(0.5, rate=8000)]
    return torch.from_numpy(np.stack([np.concatenate(channels), np.concatenate(channels[::-1])])).float()


@pytest.mark.parametrize("nodes", [PATH[:1], PATH[2:], PATH[::2], PATH])
def test_any_nodes_of_one_path_will_do(nodes, mixture):
    assert make(nodes)(mixture).shape == (2, len(nodes), *mixture.shape[1:])


def test_the_constrained_masks_are_the_running_maximum_of_the_free_ones_from_the_target_upward(models, mixture):
    models["max"].load_state_dict(models["none"].state_dict())
    free = models["none"].separate_batch(mixture).masks.detach().numpy()
    bound = models["max"].separate_batch(mixture).masks.detach().numpy()
    np.testing.assert_array_equal(bound, np.maximum.accumulate(free[:, ::-1], axis=1)[:, ::-1])
    assert (np.diff(bound, axis=1) <= 0).all()
    assert (np.diff(free, axis=1) > 0).any()  # unconstrained, a child is somewhere above its parent
    # Nor is the child's mask returned in place of the maximum, the trap that METHOD names.
    assert (bound[:, 0] > bound[:, 1]).any()
    assert (bound[:, 1] > bound[:, 2]).any()


def test_a_constrained_parent_holds_at_least_the_energy_of_its_child_in_every_bin(models, mixture):
    separation = models["max"].separate_batch(mixture)
    magnitudes = (separation.masks * separation.spectrum[:, None]).abs()
    assert (magnitudes[:, :-1] >= magnitudes[:, 1:]).all()


@pytest.mark.parametrize("kind", ["none", "complex"])
def test_the_head_gives_levels_then_bins_then_the_parts_of_a_complex_number(kind, mixture):
    model = make(kind=kind)
    torch.nn.init.zeros_(model.head.weight)
    with torch.no_grad():
        model.head.bias.copy_(torch.linspace(-3, 3, len(model.head.bias)))
    parts = model.head.bias.detach().view(3, 33, -1)
    expected = torch.complex(*parts.unbind(-1)) if kind == "complex" else parts[..., 0].sigmoid()
    separation = model.separate_batch(mixture)
    assert separation.masks.shape == (2, 3, 2, *separation.spectrum.shape[2:])
    torch.testing.assert_close(separation.masks, expected[:, None, :, None].expand_as(separation.masks))


def test_complex_masks_turn_the_phase_of_the_mixture(mixture):
    model = make(kind="complex")
    torch.nn.init.zeros_(model.head.weight)
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([0.0, 2.0]).repeat(3 * 33))  # real and imaginary part
    expected = model.stft.inverse(2j * model.stft(mixture), mixture.shape[-1])
    for level in model(mixture).unbind(dim=1):
        torch.testing.assert_close(level, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([], "expected one or more ids"),
        (["guitar", "strings_guitars_keyboards"], "expected one or more of strings_guitars_keyboards, in this order"),
        (["guitar", "guitar"], "got guitar, guitar"),
        (
            ["keyboards", "clean_guitars"],
            "of strings_guitars_keyboards, guitar, clean_guitars, in this order; got keyboards",
        ),
        (["mixture"], "below the root"),
        (["mixture", "guitar"], "got mixture, guitar"),
    ],
)
def test_nodes_that_are_not_one_path_coarse_to_fine_are_refused(nodes, message):
    with pytest.raises(ConfigError, match=message):
        make(nodes)


def test_an_unknown_node_is_named_with_its_near_miss():
    with pytest.raises(HierarchyError, match=r"'clean_guitar'.*did you mean 'clean_guitars'"):
        make(["clean_guitar"])


@pytest.mark.parametrize(
    "settings",
    [
        {"spectrum": {"hop_length": 40, "n_fft": 64}},
        {"network": {"constraint": "maximum"}},
        {"network": {"depth": 3}},
        {"sample_rate": 0},
        {"sample_rate": "16000"},
    ],
)
def test_settings_that_make_no_network_are_refused(settings):
    with pytest.raises(ConfigError):
        PathSeparator("slakh_ismir2020", PATH, **settings)


def test_a_network_saved_before_there_was_a_choice_of_backbones_still_loads():
    saved = {"hidden_size": 6, "num_layers": 1, "dropout": 0.3, "skip": False, "constraint": "none"}
    model = PathSeparator("slakh_ismir2020", PATH, spectrum=SPECTRUM, network=saved)
    assert model.network_config.backbone == "blstm"
    assert saved.items() <= model.network_config.to_dict().items()
    lstm = [f"{part}_l0{way}" for way in ("", "_reverse") for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert [*model.state_dict()] == [
        *(f"norm.{name}" for name in norm),
        *(f"backbone.lstm.{name}" for name in lstm),
        "head.weight",
        "head.bias",
    ]
