"""The path network: shapes, lengths, independence, the constraint, and asteroid's ways of calling it."""

import json

import numpy as np
import pytest
import torch
from helpers import noise, tone

from hiersep.compat import asteroid
from hiersep.errors import ConfigError, HierarchyError
from hiersep.hierarchy import Hierarchy
from hiersep.models import checkpoint
from hiersep.models.path import PathSeparator

PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
SPECTRUM = {"n_fft": 64, "hop_length": 32}

LSTM = {"hidden_size": 6, "num_layers": 2}
BANDS = {"backbone": "bandsplit", "width": 8, "hidden_size": 8, "num_layers": 2, "num_heads": 2, "num_bands": 6}
KINDS = {
    "none": {**LSTM, "constraint": "none"},
    "max": {**LSTM, "constraint": "max"},
    "skip": {**LSTM, "skip": True},
    "complex": {**LSTM, "constraint": "none", "mask": "complex"},
    "tdconvnet": {"backbone": "tdconvnet", "width": 6, "hidden_size": 8, "num_layers": 3, "num_repeats": 2},
    "dprnn": {"backbone": "dprnn", "width": 6, "hidden_size": 6, "num_repeats": 2, "chunk_size": 8},
    "bandsplit": BANDS,
    "complex bandsplit": {**BANDS, "constraint": "none", "mask": "complex"},
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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("length", [1, 2, 31, 33, 63, 65, 777, 4001])
def test_every_node_is_as_long_as_the_mixture(models, kind, batch, channels, length):
    generator = torch.Generator().manual_seed(length)
    estimates = models[kind](torch.rand((batch, channels, length), generator=generator) * 2 - 1)
    assert estimates.shape == (batch, 3, channels, length)
    assert estimates.dtype == torch.float32
    assert estimates.isfinite().all()


@pytest.mark.parametrize("nodes", [PATH[:1], PATH[2:], PATH[::2], PATH])
def test_any_nodes_of_one_path_will_do(nodes, mixture):
    assert make(nodes)(mixture).shape == (2, len(nodes), *mixture.shape[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_silence_gives_silence(models, kind):
    assert models[kind](torch.zeros(2, 1, 500)).abs().max() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_channels_and_items_do_not_see_each_other(models, kind, mixture):
    model = models[kind]
    together = model(mixture)
    for item in range(2):
        for channel in range(2):
            alone = model(mixture[item : item + 1, channel : channel + 1])
            torch.testing.assert_close(together[item : item + 1, :, channel : channel + 1], alone, atol=1e-6, rtol=0)


def test_masks_lie_between_zero_and_one_and_weigh_the_complex_mixture(models, mixture):
    separation = models["max"].separate_batch(mixture)
    assert separation.masks.min() >= 0
    assert separation.masks.max() <= 1
    window = torch.hann_window(64).sqrt()
    frames = torch.stft(mixture[0], 64, 32, window=window, pad_mode="constant", return_complex=True)
    expected = torch.istft(separation.masks[0, 1] * frames, 64, 32, window=window, length=mixture.shape[-1])
    torch.testing.assert_close(models["max"](mixture)[0, 1], expected, atol=1e-6, rtol=0)


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


def test_only_the_network_of_complex_masks_sees_the_phase(models, mixture):
    for kind, model in models.items():
        spectrum = model.stft(mixture)
        turned = spectrum * torch.polar(torch.ones(33), torch.linspace(0, 3, 33))[:, None]
        masks, same = model.estimate_masks(spectrum), model.estimate_masks(turned)
        assert torch.allclose(masks, same, atol=1e-5) == ("complex" not in kind), kind


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_reaches_every_parameter(kind, mixture):
    model = make(kind=kind).train()
    model(mixture).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


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


# asteroid


@pytest.mark.adapters
def test_forward_wav_takes_asteroids_shapes(models, mixture):
    model, batch = models["max"], mixture[:, 0]
    expected = model(batch[:, None])[:, :, 0]
    torch.testing.assert_close(model.forward_wav(batch[0]), expected[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(model.forward_wav(batch), expected)
    torch.testing.assert_close(model.forward_wav(batch[:, None]), expected)


def test_forward_wav_refuses_two_channels_instead_of_taking_them_for_two_items(models, mixture):
    with pytest.raises(ConfigError, match="one channel"):
        models["max"].forward_wav(mixture)


@pytest.mark.adapters
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_asteroids_separate_leaves_every_level_at_its_own_level(models, mixture, kind):
    """asteroid alone scales the outputs until their sum is as loud as the mixture: wrong where one holds another."""
    model = models["max"]
    wav = mixture[:1, 0]
    expected = model(wav[:, None])[:, :, 0].detach()
    found = asteroid.separate.separate(model, wav.numpy() if kind == "numpy" else wav)
    torch.testing.assert_close(torch.as_tensor(found), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.as_tensor(model.separate(wav)), expected, atol=1e-6, rtol=0)


@pytest.mark.adapters
def test_asteroids_separate_writes_files_at_their_own_level(models, tmp_path):
    import soundfile

    samples = tone(0.25, hz=300, rate=8000)[0]
    soundfile.write(tmp_path / "song.wav", samples, 8000, "FLOAT")
    (tmp_path / "out").mkdir()
    asteroid.separate.separate(models["max"], str(tmp_path / "song.wav"), output_dir=str(tmp_path / "out"))
    files = sorted((tmp_path / "out").iterdir())
    expected = models["max"](torch.from_numpy(samples).float()[None, None])[0, :, 0].detach().numpy()
    assert len(files) == 3
    for file, estimate in zip(files, expected, strict=True):
        np.testing.assert_allclose(soundfile.read(file)[0], estimate, atol=1e-4)


@pytest.mark.adapters
def test_asteroids_serialize_and_from_pretrained_make_the_same_network(models, mixture):
    model = models["max"]
    again = PathSeparator.from_pretrained(model.serialize()).eval()
    assert again.nodes == model.nodes
    assert again.sample_rate == 8000
    assert again.in_channels == 1
    torch.testing.assert_close(again(mixture), model(mixture), atol=0, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_comes_back_from_its_checkpoint(models, kind, mixture, tmp_path):
    checkpoint.save(models[kind], tmp_path / "best.safetensors")
    again = checkpoint.from_pretrained(tmp_path / "best.safetensors")
    assert again.network_config == models[kind].network_config
    torch.testing.assert_close(again(mixture), models[kind](mixture), atol=0, rtol=0)


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


def test_the_arguments_are_json_and_make_the_network_again(models):
    model = models["none"]
    again = PathSeparator(**json.loads(json.dumps(model.get_model_args())))
    assert again.get_model_args() == model.get_model_args()
    assert again.hierarchy == Hierarchy.load("slakh_ismir2020")
    assert {n: p.shape for n, p in again.named_parameters()} == {n: p.shape for n, p in model.named_parameters()}
