"""The backbones: one contract for all, bands that are a partition, attention that knows only distances."""

import itertools
import math
import re
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hiersep import strict_yaml
from hiersep.compat import asteroid
from hiersep.config import BACKBONE_SIZES, NetworkConfig
from hiersep.errors import ConfigError
from hiersep.models.backbones import make_backbone
from hiersep.models.backbones.bandsplit import BandHead, band_widths
from hiersep.models.backbones.rotary import RotaryAttention, TransformerBlock, rotate
from hiersep.models.path import PathSeparator

GUIDE = Path(__file__).parents[1] / "docs" / "networks.md"
N_FREQ, RATE = 17, 8000

SMALL = {
    "blstm": {"hidden_size": 5, "num_layers": 2},
    "blstm with skip": {"backbone": "blstm", "hidden_size": 5, "num_layers": 1, "skip": True},
    "tdconvnet": {"width": 6, "hidden_size": 8, "num_layers": 3, "num_repeats": 2},
    "dprnn": {"width": 6, "hidden_size": 5, "num_repeats": 2, "chunk_size": 4},
    "bandsplit": {"width": 8, "hidden_size": 12, "num_layers": 2, "num_heads": 2, "num_bands": 4},
}


def make(name, *, channels=1, condition_size=0, seed=0):
    torch.manual_seed(seed)
    config = NetworkConfig(**{"backbone": name, **SMALL[name]})
    return make_backbone(
        config, n_freq=N_FREQ, sample_rate=RATE, channels=channels, condition_size=condition_size
    ).eval()


def normal(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


each = pytest.mark.parametrize("name", SMALL)


def test_every_backbone_is_held_to_the_contract():
    assert {NetworkConfig(**{"backbone": name, **sizes}).backbone for name, sizes in SMALL.items()} == {*BACKBONE_SIZES}


@each
@pytest.mark.parametrize("condition_size", [0, 3])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("frames", [1, 2, 13])
def test_every_frame_becomes_one_vector(name, condition_size, channels, batch, frames):
    backbone = make(name, channels=channels, condition_size=condition_size)
    condition = normal(batch, condition_size) if condition_size else None
    for features in (normal(batch, channels, N_FREQ, frames), torch.zeros(batch, channels, N_FREQ, frames)):
        hidden = backbone(features, condition)
        assert hidden.shape == (batch, frames, backbone.output_size)
        assert hidden.dtype == torch.float32
        assert hidden.isfinite().all()


@each
def test_items_do_not_see_each_other_in_evaluation(name):
    backbone = make(name, channels=2, condition_size=3)
    features, condition = normal(3, 2, N_FREQ, 13), normal(3, 3)
    together = backbone(features, condition)
    for item in range(3):
        alone = backbone(features[item : item + 1], condition[item : item + 1])
        torch.testing.assert_close(together[item : item + 1], alone, atol=1e-6, rtol=1e-5)


@each
def test_the_gradient_reaches_every_parameter(name):
    backbone = make(name, channels=2, condition_size=3).train()
    backbone(normal(2, 2, N_FREQ, 13), normal(2, 3)).square().sum().backward()
    for key, parameter in backbone.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 0, key


@each
def test_the_first_frame_hears_the_last_and_the_lowest_bin_the_highest(name):
    backbone = make(name)
    features = normal(1, 1, N_FREQ, 13).requires_grad_()
    backbone(features)[0, 0].square().sum().backward()
    assert (features.grad[0, 0].abs() > 0).all()


@each
def test_a_condition_changes_every_frame(name):
    backbone = make(name, condition_size=3)
    features = normal(1, 1, N_FREQ, 13).expand(2, -1, -1, -1)
    first, second = backbone(features, torch.eye(3)[:2])
    assert (first != second).any(dim=-1).all()


@each
@pytest.mark.parametrize(("made_for", "given_size"), [(3, None), (None, 3), (3, 2)])
def test_a_condition_that_the_network_was_not_made_for_is_no_secret(name, made_for, given_size):
    backbone = make(name, condition_size=made_for or 0)
    with pytest.raises(RuntimeError):
        backbone(normal(2, 1, N_FREQ, 5), normal(2, given_size) if given_size else None)


@each
def test_the_order_of_frames_matters(name):
    features = normal(1, 1, N_FREQ, 13)
    order = torch.randperm(13, generator=torch.Generator().manual_seed(0))
    backbone = make(name)
    assert not torch.allclose(backbone(features[..., order]), backbone(features)[:, order], atol=1e-3)


@pytest.mark.adapters
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("TDConvNet", {"out_chan": 8, "n_blocks": 3, "n_repeats": 2, "bn_chan": 6, "hid_chan": 8, "skip_chan": 0}),
        ("DPRNN", {"out_chan": 10, "bn_chan": 6, "hid_size": 5, "chunk_size": 4, "n_repeats": 2}),
    ],
)
def test_asteroids_networks_are_asteroids(name, arguments):
    backbone = make(name.lower(), channels=2)
    theirs = getattr(asteroid.masknn, name)(2 * N_FREQ, 1, **arguments).eval()
    theirs.load_state_dict(backbone.network.state_dict())
    features = normal(2, 2, N_FREQ, 13)
    torch.testing.assert_close(backbone(features).mT, theirs(features.reshape(2, -1, 13))[:, 0], atol=0, rtol=0)


# Bands


@given(st.data(), st.integers(1, 4097), st.integers(4000, 192000))
def test_bands_hold_every_bin_exactly_once_and_widen_upward(data, n_freq, sample_rate):
    num_bands = data.draw(st.integers(1, min(n_freq, 128)))
    widths = band_widths(n_freq, num_bands, sample_rate)
    assert len(widths) == num_bands
    assert sum(widths) == n_freq
    assert min(widths) >= 1
    assert all(upper >= lower - 1 for lower, upper in itertools.pairwise(widths))  # up to rounding


@pytest.mark.parametrize(("n_fft", "num_bands", "sample_rate"), [(1024, 32, 16000), (4096, 60, 44100), (512, 8, 8000)])
def test_the_edges_are_mel_spaced_to_half_a_bin(n_fft, num_bands, sample_rate):
    n_freq = n_fft // 2 + 1
    edges = np.cumsum([0, *band_widths(n_freq, num_bands, sample_rate)])
    mel = librosa.mel_frequencies(num_bands + 1, fmin=0, fmax=sample_rate / 2, htk=True)
    assert np.abs(edges - mel / (sample_rate / 2) * n_freq).max() <= 0.5 + 1e-6


def test_bands_narrower_than_a_bin_become_one_bin():
    widths = band_widths(65, 60, 44100)
    assert widths[:50] == [1] * 50
    assert band_widths(7, 7, 8000) == [1] * 7


def test_more_bands_than_bins_are_refused():
    message = r"^network.num_bands: expected at most the spectrum's 33 bins, got 34; lower it, or raise spectrum.n_fft$"
    with pytest.raises(ConfigError, match=message):
        PathSeparator(
            "slakh_ismir2020",
            ["guitar"],
            spectrum={"n_fft": 64, "hop_length": 32},
            network={"backbone": "bandsplit", "num_bands": 34},
        )


def test_a_bin_enters_its_own_band_and_no_other():
    backbone = make("bandsplit")
    features = normal(1, 1, N_FREQ, 2).requires_grad_()
    for band, vectors in enumerate(backbone.embed(features).unbind(dim=1)):
        (gradient,) = torch.autograd.grad(vectors.square().sum(), features, retain_graph=True)
        start = sum(backbone.widths[:band])
        reached = gradient[0, 0].abs().sum(dim=-1).nonzero().flatten().tolist()
        assert reached == list(range(start, start + backbone.widths[band]))


@pytest.mark.parametrize("parts", [1, 2])
def test_the_head_of_bands_is_a_layer_over_all_of_them_that_is_zero_outside_a_bins_own(parts):
    head, widths, width = BandHead(3, [2, 1, 4], num_outputs=5, parts=parts), [2, 1, 4], 3
    whole = torch.zeros(5, 7, parts, 3, width)  # output, bin, part, band, dimension
    own = torch.repeat_interleave(torch.arange(3), torch.tensor(widths))
    whole[:, torch.arange(7), :, own] = head.weight.view(5, 7, parts, width).transpose(0, 1)
    bands = normal(2, 6, 3 * width)
    torch.testing.assert_close(head(bands), bands @ whole.flatten(3).flatten(0, 2).T + head.bias)


# Rotary attention


def test_rotation_multiplies_pairs_by_complex_numbers_of_length_one():
    vectors, positions = normal(2, 5, 8), torch.tensor([0.0, 1.0, 2.0, 7.0, 300.0])
    rates = 10000.0 ** (-np.arange(4) / 4)
    pairs = (vectors[..., :4] + 1j * vectors[..., 4:]).numpy() * np.exp(1j * np.outer(positions, rates))
    expected = torch.from_numpy(np.concatenate([pairs.real, pairs.imag], axis=-1)).float()
    torch.testing.assert_close(rotate(vectors, positions), expected, atol=1e-4, rtol=0)


@given(st.integers(-500, 500), st.integers(1, 12))
def test_products_of_rotated_vectors_do_not_change_when_all_positions_shift(shift, length):
    queries, keys = normal(length, 8, seed=2).double(), normal(length, 8, seed=3).double()
    positions = torch.arange(length, dtype=torch.float64)
    products = rotate(queries, positions) @ rotate(keys, positions).T
    shifted = rotate(queries, positions + shift) @ rotate(keys, positions + shift).T
    torch.testing.assert_close(shifted, products, atol=1e-4, rtol=0)


def test_attention_is_a_softmax_of_products_that_know_only_distances():
    attention = RotaryAttention(8, 2)
    sequence = normal(1, 6, 8)
    queries, keys, values = attention.inputs(sequence)[0].chunk(3, dim=-1)
    heads = []
    for head in (slice(0, 4), slice(4, 8)):
        products = torch.empty(6, 6)
        for i in range(6):
            for j in range(6):
                turned = rotate(keys[j : j + 1, head], torch.tensor([float(j - i)]))[0]
                products[i, j] = queries[i, head] @ turned / math.sqrt(4)
        heads.append(products.softmax(dim=-1) @ values[:, head])
    expected = attention.output(torch.cat(heads, dim=-1))
    torch.testing.assert_close(attention(sequence)[0], expected, atol=1e-5, rtol=0)


def test_rotation_keeps_the_precision_that_came():
    assert rotate(normal(3, 4).bfloat16(), torch.arange(3)).dtype == torch.bfloat16


def test_a_block_of_zero_weights_passes_what_comes():
    block = TransformerBlock(8, hidden_size=16, num_heads=2, dropout=0.5)
    for parameter in block.parameters():
        torch.nn.init.zeros_(parameter)
    sequence = normal(2, 5, 8)
    torch.testing.assert_close(block(sequence), sequence, atol=0, rtol=0)


# Settings


@pytest.mark.parametrize("name", BACKBONE_SIZES)
def test_sizes_that_are_left_out_are_the_backbones_own(name):
    config = NetworkConfig.of({"backbone": name})
    assert config.sizes() == BACKBONE_SIZES[name]
    assert NetworkConfig.of(config.to_dict()) == config
    for key in {size for sizes in BACKBONE_SIZES.values() for size in sizes} - {*BACKBONE_SIZES[name]}:
        assert getattr(config, key) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"backbone": "lstm"}, "backbone: expected blstm or tdconvnet or dprnn or bandsplit, got 'lstm'; did you mean"),
        (
            {"num_bands": 8},
            "network.num_bands: expected null, as the backbone blstm reads only hidden_size, num_layers,",
        ),
        ({"backbone": "dprnn", "skip": False}, "network.skip: expected null, as the backbone dprnn reads only width,"),
        ({"backbone": "tdconvnet", "kernel_size": 4}, "network.kernel_size: expected an odd number of taps, 1 to 99, "),
        ({"backbone": "tdconvnet", "kernel_size": 0}, "network.kernel_size: expected an odd number of taps, 1 to 99, "),
        ({"backbone": "tdconvnet", "num_repeats": 0}, "network.num_repeats: expected 1 to 64 repeats, got 0"),
        ({"backbone": "dprnn", "chunk_size": 5}, "network.chunk_size: expected an even number, 2 to 10000, got 5"),
        ({"backbone": "dprnn", "chunk_size": 0}, "network.chunk_size: expected an even number, 2 to 10000, got 0"),
        ({"backbone": "bandsplit", "width": 20}, "network.width: expected an even number for each of 4 heads, got 20"),
        ({"backbone": "bandsplit", "num_heads": 0}, "network.num_heads: expected 1 to 256 heads, got 0"),
        ({"backbone": "bandsplit", "num_bands": 0}, "network.num_bands: expected 1 to 1024 bands, got 0"),
        ({"backbone": "bandsplit", "dropout": 1}, "network.dropout: expected a probability in [0, 1), got 1.0"),
        ({"mask": "complex"}, "network.constraint: expected none with complex masks, which have no maximum, got 'max'"),
    ],
)
def test_sizes_that_make_no_network_are_refused(content, message):
    with pytest.raises(ConfigError, match="^" + re.escape(message)) as caught:
        NetworkConfig.of(content)
    assert "\n" not in str(caught.value)


ROWS = re.findall(r"^\| ([^|]+) \| [^|]+ \| `(\{backbone[^|]+\})` \| ([\d.]+) M \|$", GUIDE.read_text(), re.MULTILINE)


@pytest.mark.parametrize(("name", "network", "millions"), ROWS, ids=[row[0] for row in ROWS])
def test_the_guides_table_of_backbones_counts_their_parameters(name, network, millions):
    config = NetworkConfig.of(strict_yaml.load(f"network: {network}", name)["network"])
    with torch.device("meta"):
        model = PathSeparator(
            "slakh_ismir2020", ["strings_guitars_keyboards", "guitar", "clean_guitars"], network=config
        )
    assert f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.2f}" == millions
    assert config == NetworkConfig.of({"backbone": config.backbone}) or name == "band-split, large"


def test_the_guides_table_has_every_backbone():
    assert len(ROWS) == len(BACKBONE_SIZES) + 1
    assert {NetworkConfig.of(strict_yaml.load(f"x: {row[1]}", "x")["x"]).backbone for row in ROWS} == {*BACKBONE_SIZES}
