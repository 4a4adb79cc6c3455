"""What every separator promises, whatever it separates and by which backbone; then what query and tree promise beside.

What is particular to a path stands in `test_path.py`, to a backbone in `test_backbones.py`.
"""

import json
import math

import numpy as np
import pytest
import torch
from helpers import noise, tone

from hiersep.config import BACKBONE_SIZES, NetworkConfig
from hiersep.errors import ConfigError, DataError, HierarchyError
from hiersep.hierarchy import Hierarchy
from hiersep.losses import LOSSES
from hiersep.metrics import score_batch
from hiersep.models import checkpoint
from hiersep.models.header import NETWORKS
from hiersep.models.oracle import phase_sensitive_mask
from hiersep.models.path import PathSeparator
from hiersep.models.query import QuerySeparator, average_anchors
from hiersep.models.tree import TreeSeparator

RATE = 8000
SPECTRUM = {"n_fft": 64, "hop_length": 32}
LSTM = {"hidden_size": 6, "num_layers": 2}
BANDS = {"backbone": "bandsplit", "width": 8, "hidden_size": 8, "num_layers": 2, "num_heads": 2, "num_bands": 6}
COMPLEX = {"constraint": "none", "mask": "complex"}
BACKBONES = {
    "blstm": LSTM,
    "blstm, unconstrained": {**LSTM, "constraint": "none"},
    "blstm with skip": {**LSTM, "skip": True},
    "complex blstm": {**LSTM, **COMPLEX},
    "tdconvnet": {"backbone": "tdconvnet", "width": 6, "hidden_size": 8, "num_layers": 3, "num_repeats": 2},
    "dprnn": {"backbone": "dprnn", "width": 6, "hidden_size": 6, "num_repeats": 2, "chunk_size": 8},
    "bandsplit": BANDS,
    "complex bandsplit": {**BANDS, **COMPLEX},
}
PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
LEVELS = Hierarchy.load("slakh34").levels[1:]
# A branch to the leaves, one that ends halfway, one at the top only; the rest is left out.
PART = ("plucked_and_keys", "winds", "guitar", "keyboards", "acoustic_guitar", "clean_electric_guitar")
QUERY = {"hidden_size": 5, "num_layers": 1, "embedding_size": 4}
MODELS = {
    "path, one level": (PathSeparator, ("slakh_ismir2020", ["guitar"]), {}),
    "path, all levels": (PathSeparator, ("slakh_ismir2020", PATH), {}),
    "query, one level": (QuerySeparator, ("slakh34", LEVELS[1:2]), {"query": QUERY}),
    "query, all levels": (QuerySeparator, ("slakh34",), {"query": QUERY}),
    "tree": (TreeSeparator, ("slakh34",), {}),
    "part of a tree": (TreeSeparator, ("slakh34", PART), {}),
}
NODES = {
    "path, one level": ("guitar",),
    "path, all levels": PATH,
    "query, one level": LEVELS[1:2],
    "query, all levels": LEVELS,
    "tree": Hierarchy.load("slakh34").ids[1:],
    "part of a tree": PART,
}
PAIRS = [
    (model, backbone) for model in MODELS for backbone in BACKBONES if not ("tree" in model and "complex" in backbone)
]
each = pytest.mark.parametrize(("name", "backbone"), PAIRS)


def make(name, backbone="blstm", seed=0):
    torch.manual_seed(seed)
    network, arguments, options = MODELS[name]
    return network(*arguments, sample_rate=RATE, spectrum=SPECTRUM, network=BACKBONES[backbone], **options).eval()


@pytest.fixture(scope="module")
def made():
    """Every network once; tests that change one make their own."""
    return {pair: make(*pair) for pair in PAIRS}


def sound(*shape, seed=0):
    """Noise in [-1, 1]."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def asks(model):
    return isinstance(model, QuerySeparator)


def separated(model, mixture, queries=None):
    """Estimates for mixtures; a network that needs queries gets them, or another excerpt of noise for each."""
    if not asks(model):
        return model(mixture)
    return model(mixture, sound(len(mixture), 1, 501, seed=9) if queries is None else queries)


# --- every network


def test_every_network_and_every_backbone_is_held_to_the_contract():
    assert {network.__name__ for network, _, _ in MODELS.values()} == {*NETWORKS}
    assert {NetworkConfig.of(network).backbone for network in BACKBONES.values()} == {*BACKBONE_SIZES}


@each
@pytest.mark.parametrize("length", [1, 33, 63, 777])
def test_every_node_is_as_long_as_the_mixture(made, name, backbone, length):
    model = made[name, backbone]
    assert model.nodes == NODES[name]
    for batch in (1, 3):
        for channels in (1, 2):
            mixture = sound(batch, channels, length)
            with torch.inference_mode():
                estimates = separated(model, mixture)
            assert estimates.shape == (batch, len(model.nodes), channels, length)
            assert estimates.dtype == mixture.dtype
            assert estimates.device == mixture.device
            assert estimates.isfinite().all()
            assert estimates.abs().max() > 0


@each
@pytest.mark.parametrize("length", [1, 501])
def test_silence_gives_silence(made, name, backbone, length):
    assert separated(made[name, backbone], torch.zeros(2, 1, length)).abs().max() == 0


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", [(1, 1, 0), (0, 1, 100), (100,), (1, 100)])
def test_a_mixture_without_samples_or_axes_is_refused_in_one_line(made, name, shape):
    got = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
    with pytest.raises(ConfigError, match=rf"^mixture: expected \(batch, channel, time\), .* got \({got}\); [^\n]*$"):
        separated(made[name, "blstm"], torch.zeros(shape), sound(1, 1, 501))


def test_what_asteroid_gives_without_samples_is_refused_likewise(made):
    for shape in [(0,), (2, 0), (2, 1, 0)]:
        with pytest.raises(ConfigError, match=r"^mixture: expected \(batch, channel, time\)"):
            made["path, one level", "blstm"].forward_wav(torch.zeros(shape))


@each
def test_items_and_channels_do_not_see_each_other(made, name, backbone):
    model, mixture, queries = made[name, backbone], sound(3, 2, 1201), sound(3, 2, 701, seed=1)
    mixture[1] *= 0.01
    queries[2, :, 300:] = 0
    with torch.inference_mode():
        together = separated(model, mixture, queries)
        for item in range(3):
            for channel in range(2):
                one = slice(item, item + 1), slice(channel, channel + 1)
                alone = separated(model, mixture[one], queries[item : item + 1])
                torch.testing.assert_close(together[item, :, channel], alone[0, :, 0], atol=1e-6, rtol=0)


@each
def test_the_gradient_reaches_every_parameter(name, backbone):
    model = make(name, backbone).train()
    separated(model, sound(2, 1, RATE), sound(2, 1, RATE, seed=1)).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


@each
def test_it_comes_back_from_its_checkpoint(made, name, backbone, tmp_path):
    model, mixture = made[name, backbone], sound(2, 1, 777)
    checkpoint.save(model, tmp_path / "best.safetensors")
    again = type(model).from_pretrained(tmp_path / "best.safetensors")
    assert type(again) is type(model)
    assert again.nodes == model.nodes
    assert again.sample_rate == RATE
    assert again.network_config == model.network_config
    assert again.spectrum_config == model.spectrum_config
    torch.testing.assert_close(separated(again, mixture), separated(model, mixture), atol=0, rtol=0)


@each
def test_the_precision_that_was_asked_for_is_kept(name, backbone):
    """Two precisions agree, so neither loses much on the way."""
    model, mixture, queries = make(name, backbone), sound(1, 1, 777), sound(1, 1, 501, seed=1)
    single = separated(model, mixture, queries)
    double = separated(model.double(), mixture.double(), queries.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, atol=1e-4, rtol=0)


@each
def test_nothing_is_made_on_another_device(name, backbone):
    """On the device without memory every tensor from elsewhere is an error; torch cannot go back to waveforms there."""
    model = make(name, backbone).to("meta")
    mixture = torch.empty(2, 1, 65, device="meta")
    anchor = model.query_network(model.stft(mixture)) if asks(model) else None
    assert model.separate_batch(mixture, anchor).masks.device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@each
def test_a_gpu_gives_what_the_processor_gives(name, backbone):
    """Waveforms, every loss that the masks allow, scores and oracles."""
    mixture = torch.from_numpy(noise(0.5, seed=1)).float().view(1, 1, -1)
    references = torch.stack([mixture[0] * gain for gain in torch.linspace(0.1, 0.9, len(NODES[name]))])[None]
    found = []
    for device in ("cpu", "cuda"):
        model, sound, true = make(name, backbone).to(device), mixture.to(device), references.to(device)
        separation = model.separate_batch(sound, model.embed(sound) if "query" in name else None)
        scores = score_batch(separation.waveforms(), true, sound)
        losses = [
            loss(separation, true)
            for kind, loss in LOSSES.items()
            if kind != "phase_sensitive_l1" or not separation.masks.is_complex()
        ]
        found.append(
            [separation.waveforms(), *losses, scores.snr, phase_sensitive_mask(separation.spectrum, model.stft(true))]
        )
    for on_processor, on_gpu in zip(*found, strict=True):
        torch.testing.assert_close(on_gpu.cpu(), on_processor, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_the_arguments_are_json_and_make_the_network_again(made, name):
    model = made[name, "blstm"]
    again = type(model)(**json.loads(json.dumps(model.get_model_args())))
    assert again.get_model_args() == model.get_model_args()
    assert again.hierarchy == model.hierarchy
    assert again.nodes == model.nodes
    shapes = [{key: parameter.shape for key, parameter in m.named_parameters()} for m in (again, model)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", MODELS)
def test_a_training_batch_brings_the_condition_that_the_network_needs(made, name):
    model = made[name, "blstm"]
    batch = {"mix": sound(2, 1, 500), "query": sound(2, 1, 300, seed=1)}
    condition = model.condition_of(batch)
    if asks(model):
        torch.testing.assert_close(condition, model.embed(batch["query"]))
    else:
        assert condition is None
    estimates = model.separate_batch(batch["mix"], condition).waveforms()
    torch.testing.assert_close(estimates, separated(model, batch["mix"], batch["query"]))


@each
def test_real_masks_lie_between_zero_and_one_and_all_weigh_the_complex_mixture(made, name, backbone):
    model, mixture = made[name, backbone], sound(2, 1, 777)
    anchor = model.embed(sound(2, 1, 300, seed=1)) if asks(model) else None
    separation = model.separate_batch(mixture, anchor)
    assert separation.masks.is_complex() == ("complex" in backbone)
    if not separation.masks.is_complex():
        assert separation.masks.min() >= 0
        assert separation.masks.max() <= 1
    window = torch.hann_window(64).sqrt()
    frames = torch.stft(mixture[0], 64, 32, window=window, pad_mode="constant", return_complex=True)
    expected = torch.istft(separation.masks[0, 0] * frames, 64, 32, window=window, length=777)
    torch.testing.assert_close(separation.waveforms()[0, 0], expected, atol=1e-6, rtol=0)


@each
def test_only_the_network_of_complex_masks_sees_the_phase(made, name, backbone):
    model = made[name, backbone]
    anchor = model.embed(sound(1, 1, 300, seed=1)) if asks(model) else None
    spectrum = model.stft(sound(1, 1, 777))
    turned = spectrum * torch.polar(torch.ones(33), torch.linspace(0, 3, 33))[:, None]
    masks, same = model.estimate_masks(spectrum, anchor), model.estimate_masks(turned, anchor)
    assert torch.allclose(masks, same, atol=1e-5) == ("complex" not in backbone)


@pytest.mark.parametrize("backbone", [backbone for backbone in BACKBONES if "complex" in backbone])
def test_the_phase_is_heard_alike_however_loud_a_bin_is(backbone):
    model, spectrum = make("path, all levels", backbone), torch.view_as_complex(sound(1, 1, 33, 20, 2))
    torch.nn.init.zeros_(model.norm.weight)  # no level is heard
    masks, louder = model.estimate_masks(spectrum), model.estimate_masks(8 * spectrum)
    torch.testing.assert_close(masks, louder, atol=1e-5, rtol=0)
    assert masks.std(dim=-1).min() > 1e-4  # but the phase is


# --- query by example


@pytest.fixture(scope="module")
def query_model():
    return make("query, all levels")


def example(channels=1, seed=0):
    """Half a second of a tone that stops, over faint noise: part of the bins lie 60 dB under the loudest."""
    sounds = np.concatenate([tone(0.25, hz=1000, rate=RATE), noise(0.25, db=-95.0, rate=RATE, seed=seed)], axis=1)
    return torch.from_numpy(np.tile(sounds, (channels, 1))).float()[None]


def plain_anchor(model, query):
    """The definition, bin by bin: the mean embedding of the bins within 60 dB of the loudest, at unit length."""
    window, network = torch.hann_window(64).sqrt(), model.query_network
    spectra = torch.stft(query[0], 64, 32, window=window, pad_mode="constant", return_complex=True)
    threshold = 10 ** (-60 / 20) * spectra.abs().max()
    total, count = torch.zeros(QUERY["embedding_size"], dtype=torch.float64), 0
    for spectrum in spectra:  # (freq, frame), one channel
        decibels = 20 * spectrum.abs().clamp(min=1e-4).log10()
        hidden = network.backbone(network.norm(decibels[None])[:, None])[0]
        for frame, vector in enumerate(hidden):
            embeddings = network.head(vector).view(33, -1)  # (freq, embedding)
            for frequency, embedding in enumerate(embeddings.double()):
                if spectrum[frequency, frame].abs() >= threshold:
                    total, count = total + embedding, count + 1
    assert 0 < count < spectra.numel()  # some bins are present and some are not
    mean = (total / count).float()
    return mean / mean.norm()


@pytest.mark.parametrize("channels", [1, 2])
def test_the_anchor_is_the_mean_embedding_of_the_bins_that_are_present_at_unit_length(query_model, channels):
    query = example(channels)
    query[:, -1] *= 0.5
    with torch.inference_mode():
        torch.testing.assert_close(query_model.embed(query)[0], plain_anchor(query_model, query), atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 5001])
def test_a_query_of_any_length_has_an_anchor_of_unit_length(query_model, length):
    anchors = query_model.embed(sound(2, 1, length))
    assert anchors.shape == (2, QUERY["embedding_size"])
    torch.testing.assert_close(anchors.norm(dim=1), torch.ones(2))
    assert query_model(sound(2, 1, 300), sound(2, 1, length)).shape == (2, 3, 1, 300)


def test_an_anchor_does_not_depend_on_its_neighbours(query_model):
    queries = torch.cat([example(), 0.1 * sound(1, 1, 4000), sound(1, 1, 4000, seed=1)])
    together = query_model.embed(queries)
    for item in range(3):
        torch.testing.assert_close(together[item : item + 1], query_model.embed(queries[item : item + 1]))


def test_which_bins_are_present_is_relative_to_the_loudest_whatever_the_gain(query_model):
    spectrum, network = query_model.stft(example()), query_model.query_network
    present = network.present(spectrum)
    decibels = 20 * (spectrum.abs() / spectrum.abs().max()).log10()
    assert torch.equal(present, decibels >= -60)
    assert present.any()
    assert not present.all()
    for gain in (2.0**-10, 0.5, 8.0):  # powers of two are exact
        assert torch.equal(network.present(gain * spectrum), present)


def test_a_channel_far_below_the_other_has_no_say_in_the_anchor(query_model):
    loud, faint = sound(1, 1, 4000), 1e-4 * sound(1, 1, 4000, seed=1)
    torch.testing.assert_close(query_model.embed(torch.cat([loud, faint], dim=1)), query_model.embed(loud))


@pytest.mark.parametrize("silence", [0.0, 1e-6])
def test_a_silent_query_is_an_error_that_names_its_place(query_model, silence):
    queries = torch.cat([sound(1, 1, 300), torch.full((1, 1, 300), silence), sound(1, 1, 300)])
    with pytest.raises(DataError, match=r"^query: expected a sound, got silence \(number 1 of the batch\); give an"):
        query_model.embed(queries)
    with pytest.raises(DataError, match="number 1, 2 of the batch"):
        query_model(sound(3, 1, 300), queries[[0, 1, 1]])
    with pytest.raises(DataError, match=r"^query: expected a sound, got silence; give an excerpt in which the target"):
        query_model(sound(1, 1, 300), queries[1])


@pytest.mark.parametrize("n_fft", [256, 1024, 4096])
def test_silence_begins_80_db_under_a_full_scale_sine_however_long_the_window(n_fft, rng):
    spectrum = {"n_fft": n_fft, "hop_length": n_fft // 2}
    model = QuerySeparator("slakh34", sample_rate=16000, spectrum=spectrum, network=LSTM, query=QUERY).eval()

    def query(samples):
        return torch.from_numpy(samples).float()[None]

    for peak_db in (-79, -70):  # of a sine in the middle of a bin
        anchor = model.embed(query(tone(1.0, hz=1000, db=peak_db - 10 * math.log10(2))))
        torch.testing.assert_close(anchor.norm(), torch.tensor(1.0))
    dither = rng.integers(-1, 2, (1, 16000)) / 2**15  # the last of 16 bits: -92 dBFS, and no bin of it reaches -80 dB
    for silence in (*(tone(1.0, hz=1000, db=db - 10 * math.log10(2)) for db in (-81, -100, -130)), dither):
        with pytest.raises(DataError, match="got silence"):
            model.embed(query(silence))


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_query_that_is_not_finite_is_an_error_of_its_own(query_model, broken):
    queries = torch.cat([torch.zeros(1, 1, 300), sound(2, 1, 300)])
    queries[1, 0, 150] = broken
    with pytest.raises(DataError, match=r"^query: expected a sound, got silence \(number 0 of the batch\)"):
        query_model.embed(queries[[0, 2]])
    for call in (query_model.embed, lambda query: query_model(sound(3, 1, 300), query)):
        with pytest.raises(DataError, match=r"^query: expected finite samples, got NaN .* \(number 1 of the batch\); "):
            call(queries)


@pytest.mark.parametrize("count", [2, 4])
def test_as_many_queries_or_anchors_as_mixtures_or_one(query_model, count):
    queries = sound(count, 1, 300)
    with pytest.raises(ConfigError, match=rf"^query: expected one, or one for each of the 3 mixtures, got {count}; "):
        query_model(sound(3, 1, 300), queries)
    with pytest.raises(ConfigError, match=rf"^anchor: expected \(1 or 3, 4\), .* got \({count}, 4\); "):
        query_model(sound(3, 1, 300), anchor=query_model.embed(queries))
    with pytest.raises(ConfigError, match=r"^anchor: expected \(1 or 3, 4\), .* got \(1, 5\); "):
        query_model(sound(3, 1, 300), anchor=torch.ones(1, 5))
    with pytest.raises(ConfigError, match=r"^query: expected \(batch, channel, time\), got \(1, 1, 1, 300\); "):
        query_model(sound(3, 1, 300), sound(1, 1, 1, 300))


def test_a_query_without_samples_is_an_error(query_model):
    with pytest.raises(DataError, match=r"^query: expected a sound, got no samples; give an excerpt"):
        query_model(sound(1, 1, 300), torch.zeros(1, 1, 0))


def test_one_anchor_serves_many_mixtures_of_any_length(query_model):
    query, mixtures = example(), sound(3, 2, 900)
    anchor = query_model.embed(query)
    expected = torch.cat([query_model(mixture[None], query) for mixture in mixtures])
    torch.testing.assert_close(query_model(mixtures, anchor=anchor), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(
        query_model(mixtures[..., :1], anchor=anchor), query_model(mixtures[..., :1], query), atol=1e-6, rtol=0
    )


def test_a_query_may_come_without_its_batch_and_channel_axes(query_model):
    query, mixtures = example(), sound(2, 1, 300)
    for given in (query[0], query[0, 0]):
        torch.testing.assert_close(query_model(mixtures, given), query_model(mixtures, query), atol=0, rtol=0)


def test_another_query_gives_other_masks_at_every_level(query_model):
    spectrum = query_model.stft(sound(1, 1, 900))
    tones = [torch.from_numpy(tone(0.2, hz=hz, rate=RATE)).float()[None] for hz in (200, 3000)]
    one, other = (query_model.estimate_masks(spectrum, query_model.embed(query)) for query in tones)
    assert (one - other).abs().amax(dim=(0, 2, 3, 4)).min() > 1e-3


def test_a_scaled_anchor_is_heard_as_so_many_times_its_length(query_model):
    louder = QuerySeparator(**{**query_model.get_model_args(), "query": {**QUERY, "anchor_scale": 7.0}}).eval()
    louder.load_state_dict(query_model.state_dict())
    mixtures, anchor = sound(2, 1, 700), query_model.embed(example())
    torch.testing.assert_close(louder.embed(example()), anchor, atol=0, rtol=0)  # anchors are of unit length still
    spectrum = query_model.stft(mixtures)
    expected = query_model.estimate_masks(spectrum, 7.0 * anchor.expand(2, -1))
    torch.testing.assert_close(louder.estimate_masks(spectrum, anchor.expand(2, -1)), expected)
    assert (expected - query_model.estimate_masks(spectrum, anchor.expand(2, -1))).abs().max() > 1e-3


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), 1e4])
def test_an_anchor_that_is_not_heard_or_far_too_loud_is_refused(scale):
    with pytest.raises(ConfigError, match=r"query.anchor_scale: expected more than 0, at most 1000"):
        QuerySeparator("slakh34", query={"anchor_scale": scale})


def test_either_a_query_or_an_anchor(query_model):
    mixture, query = sound(1, 1, 300), example()
    with pytest.raises(ConfigError, match=r"^expected a query or an anchor, got neither$"):
        query_model(mixture)
    with pytest.raises(ConfigError, match=r"^expected a query or an anchor, got both$"):
        query_model(mixture, query, anchor=query_model.embed(query))


@pytest.mark.parametrize("levels", [["class", "group"], ["group", "group"], ["klass"], ["mixture", "group"], []])
def test_levels_that_are_not_the_hierarchys_coarse_to_fine_are_refused(levels):
    got = ", ".join(levels) or "none"
    with pytest.raises(
        ConfigError, match=f"^levels: expected one or more of group, family, class, in this order; got {got}$"
    ):
        QuerySeparator("slakh34", levels, query=QUERY)


def test_a_query_network_without_a_size_is_refused():
    with pytest.raises(ConfigError, match=r"query.embedding_size: expected 1 to 4096 dimensions, got 0"):
        QuerySeparator("slakh34", query={"embedding_size": 0})


def test_the_average_of_anchors_is_their_mean_at_unit_length():
    angles = torch.tensor([0.0, 2 * math.pi / 3])
    anchors = torch.stack([angles.cos(), angles.sin()], dim=1)
    middle = torch.tensor([[math.cos(math.pi / 3), math.sin(math.pi / 3)]])
    torch.testing.assert_close(average_anchors(anchors), middle)
    torch.testing.assert_close(average_anchors(anchors.flip(0)), middle)
    torch.testing.assert_close(average_anchors(anchors[:1]), anchors[:1])


def test_the_network_of_an_averaged_anchor_is_that_of_the_query_where_all_are_alike(query_model):
    mixture, query = sound(1, 1, 300), example()
    anchor = average_anchors(query_model.embed(query.expand(3, -1, -1)))
    torch.testing.assert_close(query_model(mixture, anchor=anchor), query_model(mixture, query), atol=1e-6, rtol=0)


# --- trees

TREES = {
    "all": None,
    "part": PART,
    "one path": ("plucked_and_keys", "guitar", "acoustic_guitar"),
    "one node": ("rhythm",),
}
each_tree = pytest.mark.parametrize("nodes", TREES.values(), ids=TREES)


def make_tree(nodes=None, network=LSTM, seed=0):
    torch.manual_seed(seed)
    return TreeSeparator("slakh34", nodes, sample_rate=RATE, spectrum=SPECTRUM, network=network).eval()


def split_by_hand(model, values):
    """Masks of nodes and of remainders by id, from the head's values, down the tree as the text says it."""
    rows = list(values.double().unbind(dim=1))  # of every parent, coarse to fine: its children, then its remainder
    masks, remainders = {model.hierarchy.root.id: torch.ones_like(rows[0])}, {}
    for parent in (model.hierarchy.root.id, *model.nodes):
        children = [child for child in model.hierarchy.node(parent).children if child in model.nodes]
        if children:
            shares, rows = [row.exp() for row in rows[: len(children) + 1]], rows[len(children) + 1 :]
            parts = [masks[parent] * share / sum(shares) for share in shares]
            masks.update(zip(children, parts[:-1], strict=True))
            remainders[parent] = parts[-1]
    assert not rows
    return masks, remainders


@each_tree
def test_children_and_remainder_are_a_softmax_of_their_parent(nodes):
    model, mixture = make_tree(nodes), sound(2, 2, 777)
    torch.nn.init.normal_(model.head.weight, std=2.0)  # splits that differ, and masks near 0 and 1
    separation = model.separate_batch(mixture)
    masks, remainders = split_by_hand(model, model.head_values(separation.spectrum))
    assert list(masks)[1:] == list(model.nodes)
    for position, node in enumerate(model.nodes):
        torch.testing.assert_close(separation.masks[:, position].double(), masks[node], atol=1e-6, rtol=0)
    found = model.remainders(separation)
    assert found.keys() == remainders.keys()
    for parent, mask in remainders.items():
        expected = model.stft.inverse(mask.to(separation.spectrum.dtype) * separation.spectrum, 777)
        torch.testing.assert_close(found[parent], expected, atol=1e-5, rtol=0)


@each_tree
def test_children_and_remainder_sum_to_their_parent_in_masks_and_sound(nodes):
    model, mixture = make_tree(nodes), sound(2, 1, 4001)
    torch.nn.init.normal_(model.head.weight, std=1.0)
    separation = model.separate_batch(mixture)
    _, remainders = split_by_hand(model, model.head_values(separation.spectrum))
    waveforms = dict(zip(model.nodes, separation.waveforms().unbind(dim=1), strict=True))
    masks = dict(zip(model.nodes, separation.masks.unbind(dim=1), strict=True))
    root = model.hierarchy.root.id
    masks[root], waveforms[root] = torch.ones_like(separation.masks[:, 0]), mixture
    rest = model.remainders(separation)
    parents = {model.hierarchy.node(node).parent for node in model.nodes}
    assert rest.keys() == parents
    for parent in parents:
        children = [child for child in model.hierarchy.node(parent).children if child in model.nodes]
        total = sum(masks[child] for child in children) + remainders[parent]
        assert (total - masks[parent]).abs().max() < 1e-6
        assert (remainders[parent] >= 0).all()
        for child in children:
            assert (masks[child] <= masks[parent]).all()
        heard = sum(waveforms[child] for child in children) + rest[parent]
        error = (heard - waveforms[parent]).square().mean() / waveforms[parent].square().mean()
        assert 10 * error.log10() < -100


@pytest.mark.parametrize("seed", range(5))
def test_any_part_of_a_tree_that_holds_every_nodes_parent_will_do(seed):
    hierarchy = Hierarchy.load("slakh34")
    rng, nodes = np.random.default_rng(seed), []
    for node in hierarchy.ids[1:]:
        if hierarchy.node(node).parent in (hierarchy.root.id, *nodes) and rng.random() < 0.5:
            nodes.append(node)
    model, mixture = make_tree(nodes), sound(1, 1, 777)
    separation = model.separate_batch(mixture)
    masks, _ = split_by_hand(model, model.head_values(separation.spectrum))
    assert model.nodes == tuple(nodes)
    for position, node in enumerate(nodes):
        torch.testing.assert_close(separation.masks[:, position].double(), masks[node], atol=1e-6, rtol=0)


def test_what_the_head_gives_to_one_node_all_above_it_have_and_no_other():
    """A head that is sure of one leaf: its path is the mixture, every other node and every remainder is silent."""
    model, mixture = make_tree(), sound(1, 1, 777)
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.zeros_(model.head.bias)
    path = model.hierarchy.path("acoustic_piano")
    places = []  # what the head's values are of
    for parent in (path[0], *model.nodes):
        children = model.hierarchy.node(parent).children
        places += [*children, f"rest of {parent}"] if children else []
    with torch.no_grad():
        model.head.bias.view(len(places), -1)[[places.index(node) for node in path[1:]]] = 200.0
    estimates = model(mixture)
    for node, estimate in zip(model.nodes, estimates.unbind(dim=1), strict=True):
        expected = mixture if node in path else torch.zeros_like(mixture)
        torch.testing.assert_close(estimate, expected, atol=1e-6, rtol=0)
    for remainder in model.remainders(model.separate_batch(mixture)).values():
        assert remainder.abs().max() < 1e-6


@each_tree
def test_a_head_that_claims_nothing_leaves_the_mixture_in_the_first_remainder(nodes):
    model, mixture = make_tree(nodes), sound(1, 1, 777)
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.zeros_(model.head.bias)
    top = len([child for child in model.hierarchy.root.children if child in model.nodes])
    with torch.no_grad():
        model.head.bias.view(-1, 33)[top] = 200.0  # the first remainder stands after the root's children
    separation = model.separate_batch(mixture)
    assert separation.waveforms().abs().max() < 1e-6
    first, *others = model.remainders(separation).values()
    torch.testing.assert_close(first, mixture, atol=1e-6, rtol=0)
    assert all(other.abs().max() < 1e-6 for other in others)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([], "nodes: expected one or more ids of a tree, got none"),
        (["guitar"], "nodes: expected 'plucked_and_keys' beside 'guitar', whose parent it is; got it not; add it"),
        (
            ["plucked_and_keys", "acoustic_guitar"],
            "nodes: expected 'guitar' beside 'acoustic_guitar', whose parent it is; got it not; add it",
        ),
        (
            ["guitar", "plucked_and_keys"],
            "nodes: expected ids below the root, each once and in the hierarchy's order; got guitar, plucked_and_keys",
        ),
        (
            ["rhythm", "rhythm"],
            "nodes: expected ids below the root, each once and in the hierarchy's order; got rhythm, rhythm",
        ),
        (
            ["mixture", "rhythm"],
            "nodes: expected ids below the root, each once and in the hierarchy's order; got mixture, rhythm",
        ),
    ],
)
def test_nodes_that_make_no_tree_are_refused(nodes, message):
    with pytest.raises(ConfigError) as caught:
        make_tree(nodes)
    assert str(caught.value) == message


def test_an_unknown_node_of_a_tree_is_named_with_its_near_miss():
    with pytest.raises(HierarchyError, match="'guitr'; did you mean 'guitar'"):
        make_tree(["plucked_and_keys", "guitr"])


@pytest.mark.parametrize("backbone", ["complex blstm", "complex bandsplit"])
def test_a_tree_of_complex_masks_is_refused(backbone):
    with pytest.raises(ConfigError, match=r"^network.mask: expected real masks for a tree, .*; got complex$"):
        make_tree(network=BACKBONES[backbone])
