"""Separating audio of any length, rate and number of channels; nussl's separation object."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import error_db, level_db, noise, read_audio, tone, write_audio
from hypothesis import given, settings
from hypothesis import strategies as st

from hiersep import HierarchicalMixtureDataset, HierarchicalSeparator
from hiersep.compat import nussl
from hiersep.errors import CheckpointError, ConfigError, DataError, HierarchyError
from hiersep.models import checkpoint
from hiersep.models.constraints import running_maximum
from hiersep.models.path import PathSeparator
from hiersep.models.tree import TreeSeparator
from hiersep.separation import Passage, SeparationSettings, choose_device, separate, write_estimates
from hiersep.separation.segments import cross_fade

PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
SIZES = {"hidden_size": 4, "num_layers": 1}
RATE = 8000
FIXTURES = Path(__file__).parent / "fixtures"


class Identity(PathSeparator):
    """Lets everything through: its masks are ones."""

    def estimate_masks(self, spectrum, condition=None):
        return torch.ones((len(spectrum), len(self.nodes), *spectrum.shape[1:]))


class ShortSighted(PathSeparator):
    """Masks of finite receptive field: they depend on nine neighbouring frames."""

    def estimate_masks(self, spectrum, condition=None):
        level = torch.nn.functional.avg_pool1d(spectrum.abs().flatten(0, 1), 9, stride=1, padding=4)
        mask = torch.tanh(level).view(spectrum.shape)
        return running_maximum(torch.stack([mask, mask.square(), 1 - mask], dim=1))


def make(kind=PathSeparator, rate=RATE):
    torch.manual_seed(0)
    spectrum = {"n_fft": 256, "hop_length": 128}
    return kind("slakh_ismir2020", PATH, sample_rate=rate, spectrum=spectrum, network=SIZES).eval()


identity, short_sighted, network = make(Identity), make(ShortSighted), make()


@settings(max_examples=40)
@given(
    st.integers(1, 100_000),
    st.integers(1, 2),
    st.floats(0.05, 20),
    st.floats(0, 1),
    st.integers(1, 9),
    st.integers(0, 99),
)
def test_segmenting_changes_nothing_for_an_identity(length, channels, segment_s, share, batch_size, seed):
    mixture = np.random.default_rng(seed).uniform(-1, 1, (channels, length)).astype(np.float32)
    segmenting = SeparationSettings(segment_s, share * segment_s / 2, batch_size)
    estimates = separate(mixture, RATE, identity, settings=segmenting)
    assert estimates.shape == (3, channels, length)
    assert estimates.dtype == np.float32
    assert np.abs(estimates - mixture).max() <= 1e-5


@pytest.mark.parametrize("seconds", [2.0, 6.3, 7.9999])
def test_segmenting_changes_nothing_for_a_network_of_finite_receptive_field(seconds):
    mixture = (noise(seconds, rate=RATE) * (1 + np.sin(np.arange(round(seconds * RATE)) / 900))).astype(np.float32)
    whole = separate(mixture, RATE, short_sighted)
    parts = separate(mixture, RATE, short_sighted, settings=SeparationSettings(segment_s=1.5, overlap_s=0.7))
    assert error_db(parts, whole) < -100


@given(
    st.integers(1, 3000),
    st.sampled_from([(1, 1), (4, 2), (7, 3), (16, 5), (16, 8)]),  # hop and frames in a segment
    st.floats(0, 1),
)
def test_segments_are_equal_lie_on_the_grid_and_end_with_the_mixture(length, sizes, share):
    hop, most = sizes
    settings = SeparationSettings(segment_s=most, overlap_s=share * most / 2)
    starts, each = settings.lay_out(length, hop=hop, sample_rate=hop)  # a second is a frame
    assert starts[0] == 0
    assert starts[-1] + each == length
    assert all(start % hop == 0 for start in starts)
    assert each < (most + 1) * hop
    for start, following in itertools.pairwise(starts):
        assert start < following <= start + each - int(settings.overlap_s) * hop


def test_what_comes_out_is_laid_end_to_end_and_joined_by_ramps_that_sum_to_one():
    segments = SeparationSettings(segment_s=12, overlap_s=6).lay_out(31, hop=2, sample_rate=2)
    ones, numbers = np.ones((len(segments.starts), 1, segments.length)), np.arange(len(segments.starts))
    np.testing.assert_allclose(np.concatenate(list(cross_fade(ones, segments)), axis=-1), np.ones((1, 31)), rtol=1e-6)
    (weights,) = np.concatenate(list(cross_fade(ones * numbers[:, None, None], segments)), axis=-1)
    assert (np.diff(weights) >= 0).all()
    for number, (start, following) in enumerate(itertools.pairwise(segments.starts)):
        shared = start + segments.length - following
        third = shared // 3
        assert shared >= 12
        assert (weights[following : following + third] == number).all()
        assert (weights[start + segments.length - third : start + segments.length] == number + 1).all()


@pytest.mark.parametrize(("segment_s", "overlap_s"), [(1.0, 0.6), (1.0, 1.0), (1.0, -0.1), (0.0, 0.0), (-1.0, 0.0)])
def test_segments_that_overlap_too_far_or_are_nothing_are_refused(segment_s, overlap_s):
    with pytest.raises(ConfigError, match="overlap_s: expected 0 to half"):
        SeparationSettings(segment_s=segment_s, overlap_s=overlap_s)


def test_an_empty_batch_is_refused():
    with pytest.raises(ConfigError, match="batch_size: expected at least 1, got 0"):
        SeparationSettings(batch_size=0)


class Slices:
    """A mixture of which nothing can be had but slices; it remembers them."""

    def __init__(self, samples):
        self.samples, self.shape, self.taken = samples, samples.shape, []

    def __getitem__(self, place):
        self.taken.append((place[1].start, place[1].stop))
        return self.samples[place]


@pytest.mark.parametrize(("channels", "batch_size", "per_batch"), [(1, 4, 4), (2, 4, 2), (3, 2, 1)])
def test_a_long_mixture_is_read_once_in_order_and_given_as_soon_as_it_is_finished(channels, batch_size, per_batch):
    samples = noise(10, rate=RATE, channels=channels).astype(np.float32)
    mixture = Slices(samples)
    passage = Passage(identity, settings=SeparationSettings(segment_s=1.2, overlap_s=0.2, batch_size=batch_size))
    stretches, taken = [], []
    for stretch in passage.waveforms(mixture):
        stretches.append(stretch)
        taken.append(len(mixture.taken))
    np.testing.assert_allclose(np.concatenate(stretches, axis=-1)[1], samples, atol=1e-5)
    assert mixture.taken == sorted(set(mixture.taken))
    assert max(stop - start for start, stop in mixture.taken) <= 1.3 * RATE
    assert taken[0] <= per_batch < taken[-1] == 10
    steps = np.diff([0, *sorted(set(taken))])
    assert steps.max() - steps.min() <= 1  # batches of about equal size: none wastes the network on a single segment


def test_batches_change_nothing(rng):
    mixture = rng.uniform(-1, 1, (2, 30_000)).astype(np.float32)
    one, many = (
        separate(mixture, RATE, network, settings=SeparationSettings(segment_s=0.7, overlap_s=0.2, batch_size=size))
        for size in (1, 99)
    )
    np.testing.assert_allclose(one, many, atol=1e-6)


def test_cutting_a_song_hardly_changes_what_a_trained_network_makes_of_it(rendered):
    model = checkpoint.from_pretrained(FIXTURES / "path.safetensors")
    songs = HierarchicalMixtureDataset(
        rendered,
        model.hierarchy,
        split="train",
        target=list(model.nodes),
        sample_rate=model.sample_rate,
        num_mixtures=2,
    )
    for item in (songs[0], songs[1]):
        mixture = item["mix"].numpy()
        whole = separate(mixture, RATE, model)
        parts = separate(mixture, RATE, model, settings=SeparationSettings(segment_s=4))
        # Relative to the mixture: a level that is nearly silent differs much from itself, and little to hear.
        assert all(level_db(part - one) - level_db(mixture) < -25 for part, one in zip(parts, whole, strict=True))
        assert level_db(whole[0]) - level_db(mixture) > -10


def test_one_segment_is_the_networks_own_output(rng):
    mixture = rng.uniform(-1, 1, (2, 5001)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(mixture)[None])[0]
    np.testing.assert_allclose(separate(mixture, RATE, network), expected, atol=1e-6)


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("length", [1, 2, 7, 12345])
def test_estimates_have_the_rate_channels_and_length_of_the_mixture(sample_rate, channels, length):
    samples = noise(length / sample_rate, rate=sample_rate, channels=channels)
    mixture = nussl.AudioSignal(audio_data_array=samples, sample_rate=sample_rate)
    estimates = HierarchicalSeparator(mixture, network)()
    assert len(estimates) == 3
    for estimate in estimates:
        assert isinstance(estimate, nussl.AudioSignal)
        assert estimate.sample_rate == sample_rate
        assert estimate.num_channels == mixture.num_channels
        assert estimate.signal_length == mixture.signal_length
        assert np.isfinite(estimate.audio_data).all()


@pytest.mark.parametrize("sample_rate", [16000, 22050, 44100, 48000])
def test_another_rate_keeps_time_and_level(sample_rate):
    samples = tone(1.0, hz=1000, rate=sample_rate)
    for estimate in separate(samples, sample_rate, identity):
        settled = slice(sample_rate // 10, -sample_rate // 10)
        assert error_db(estimate[:, settled], samples[:, settled]) < -60


def test_no_samples_are_refused():
    with pytest.raises(DataError, match="with samples"):
        separate(np.zeros((1, 0)), RATE, identity)


def test_a_device_that_is_not_there_is_named():
    assert choose_device("cpu") == "cpu"
    with pytest.raises(ConfigError, match=r"expected cpu.*got 'gpu9'"):
        choose_device("gpu9")


# nussl's separation object


@pytest.fixture
def mixture():
    samples = tone(0.5, hz=300, rate=RATE, channels=2) + noise(0.5, rate=RATE, channels=2)
    return nussl.AudioSignal(audio_data_array=samples, sample_rate=RATE)


@pytest.mark.adapters
def test_it_is_a_nussl_separation_that_gives_the_levels_coarse_to_fine(mixture):
    separator = HierarchicalSeparator(mixture, network)
    assert isinstance(separator, nussl.separation.base.SeparationBase)
    estimates = separator()
    assert separator.nodes == PATH
    expected = separate(mixture.audio_data, RATE, network)
    for estimate, array in zip(estimates, expected, strict=True):
        np.testing.assert_allclose(estimate.audio_data, array, atol=1e-6)
    assert list(separator.to_dict()) == list(PATH)
    np.testing.assert_array_equal(separator.to_dict()["guitar"].audio_data, estimates[1].audio_data)


@pytest.mark.adapters
def test_nussl_evaluates_what_it_gives(mixture):
    """One level and the remainder at a time, as nussl's BSSEvalScale wants it."""
    (guitar,) = HierarchicalSeparator(mixture, network, nodes=["guitar"])()
    remainder = nussl.AudioSignal(audio_data_array=noise(0.5, rate=RATE, channels=2, seed=1), sample_rate=RATE)
    truth = [mixture - remainder, remainder]
    for name, signal in zip(("guitar", "remainder"), truth, strict=True):
        signal.path_to_input_file = name
    scores = nussl.evaluation.BSSEvalScale(truth, [guitar, mixture - guitar]).evaluate()
    assert np.isfinite([scores["guitar"]["SI-SDR"], scores["remainder"]["SI-SDR"]]).all()


@pytest.mark.adapters
def test_a_new_mixture_replaces_what_the_last_one_left(mixture):
    separator = HierarchicalSeparator(mixture, network)
    separator()
    other = nussl.AudioSignal(audio_data_array=tone(0.2, rate=RATE), sample_rate=RATE)
    separator.audio_signal = other
    assert [estimate.signal_length for estimate in separator.to_dict().values()] == [other.signal_length] * 3
    assert separator.result_masks[0].mask.shape[-1] == 1
    again = separator(audio_signal=mixture)
    assert [estimate.signal_length for estimate in again] == [mixture.signal_length] * 3


def test_complex_masks_separate_but_are_no_soft_masks():
    sizes = {**SIZES, "mask": "complex", "constraint": "none"}
    model = PathSeparator("slakh_ismir2020", PATH, spectrum={"n_fft": 256, "hop_length": 128}, network=sizes).eval()
    signal = nussl.AudioSignal(audio_data_array=noise(1, rate=RATE), sample_rate=RATE)
    separator = HierarchicalSeparator(signal, model)
    assert len(separator()) == len(PATH)
    with pytest.raises(ConfigError, match="real masks, got complex ones"):
        _ = separator.result_masks


def test_the_result_masks_are_soft_masks_that_obey_the_constraint(mixture):
    masks = HierarchicalSeparator(mixture, network).result_masks
    assert [type(mask) for mask in masks] == [nussl.core.masks.SoftMask] * 3
    arrays = np.stack([mask.mask for mask in masks])
    assert arrays.shape[1] == 129
    assert arrays.shape[3] == 2
    assert arrays.min() >= 0
    assert arrays.max() <= 1
    assert (arrays[:-1] >= arrays[1:]).all()
    assert (arrays[:-1] > arrays[1:]).any()


@pytest.mark.adapters
def test_a_result_mask_applied_by_nussl_gives_the_estimate(mixture):
    separator = HierarchicalSeparator(mixture, network)
    estimate = separator.to_dict()["guitar"]
    spectrum = network.stft(torch.from_numpy(mixture.audio_data).float()).permute(1, 2, 0).numpy()
    masked = separator.result_masks[1].mask * spectrum
    by_hand = network.stft.inverse(torch.from_numpy(masked).permute(2, 0, 1), mixture.signal_length)
    np.testing.assert_allclose(by_hand, estimate.audio_data, atol=1e-5)


def test_result_masks_of_a_long_mixture_are_made_of_segments_and_give_the_estimates():
    samples = noise(37.3, rate=RATE) * (1 + np.sin(np.arange(round(37.3 * RATE)) / 900))
    separator = HierarchicalSeparator(nussl.AudioSignal(audio_data_array=samples, sample_rate=RATE), network)
    masks = np.stack([mask.mask for mask in separator.result_masks]).transpose(0, 3, 1, 2)
    spectrum = network.stft(torch.from_numpy(samples).float())
    assert masks.shape == (3, *spectrum.shape)
    by_hand = network.stft.inverse(torch.from_numpy(masks) * spectrum, samples.shape[1])
    estimates = np.stack([estimate.audio_data for estimate in separator()])
    assert error_db(by_hand, estimates) < -60


@pytest.mark.parametrize("length", [RATE * 3, RATE * 3 + 1, RATE * 3 + 63, RATE * 3 + 64, RATE * 3 + 65, RATE * 4 - 1])
def test_masks_of_segments_are_those_of_the_whole_frame_by_frame(length):
    samples = noise(4, rate=RATE)[:, :length].astype(np.float32)
    cut, whole = (
        np.concatenate(list(Passage(short_sighted, nodes=["guitar"], settings=segmenting).masks(samples)), axis=-1)
        for segmenting in (SeparationSettings(segment_s=1.0, overlap_s=0.5), SeparationSettings())
    )
    assert whole.shape == (1, *short_sighted.stft(torch.from_numpy(samples)).shape)
    np.testing.assert_allclose(cut, whole, atol=1e-5)


@pytest.mark.adapters
def test_a_tree_is_taken_apart_node_by_node_and_sums_to_the_mixture(mixture):
    torch.manual_seed(0)
    model = TreeSeparator("musdb18", sample_rate=RATE, spectrum={"n_fft": 256, "hop_length": 128}, network=SIZES)
    separator = HierarchicalSeparator(mixture, model)
    estimates = {node: estimate.audio_data for node, estimate in separator.to_dict().items()}
    assert tuple(estimates) == model.nodes == separator.nodes
    with torch.no_grad():
        batch = torch.from_numpy(mixture.audio_data[None]).float()
        expected = model.eval()(batch)[0]
        remainders = model.remainders(model.separate_batch(batch))
    np.testing.assert_allclose(list(estimates.values()), expected, atol=1e-6)
    top = sum(estimates[node] for node in model.hierarchy.root.children)
    np.testing.assert_allclose(top + remainders["mixture"][0].numpy(), mixture.audio_data, atol=1e-5)
    masks = dict(zip(separator.nodes, separator.result_masks, strict=True))
    for parent in model.hierarchy.nodes:
        children = [masks[child].mask for child in parent.children if child in masks]
        if children and parent.id in masks:
            assert (sum(children) <= masks[parent.id].mask + 1e-6).all()
    one = model.nodes[-1]
    (alone,) = HierarchicalSeparator(mixture, model, nodes=[one])()
    np.testing.assert_allclose(alone.audio_data, estimates[one], atol=1e-6)


@pytest.mark.adapters
def test_nussls_own_overlap_add_takes_it():
    samples = noise(3, rate=RATE, channels=2)
    signal = nussl.AudioSignal(audio_data_array=samples, sample_rate=RATE)
    separator = HierarchicalSeparator(signal, identity, nodes=["guitar"])
    (estimate,) = nussl.separation.composite.OverlapAdd(separator, window_duration=1.0)()
    assert estimate.signal_length == signal.signal_length
    settled = slice(RATE, -RATE)  # nussl's windows, which end at zero, sum to nearly one in between
    assert error_db(estimate.audio_data[:, settled], samples[:, settled]) < -40


@pytest.mark.parametrize("nodes", [["clean_guitars", "strings_guitars_keyboards"], ["guitar"]])
def test_chosen_nodes_come_coarse_to_fine(mixture, nodes):
    everything = HierarchicalSeparator(mixture, network)
    everything()
    separator = HierarchicalSeparator(mixture, network, nodes=nodes)
    found = dict(zip(separator.nodes, separator(), strict=True))
    assert list(found) == [node for node in PATH if node in nodes]
    assert len(separator.result_masks) == len(nodes)
    for node, estimate in found.items():
        np.testing.assert_array_equal(estimate.audio_data, everything.to_dict()[node].audio_data)


def test_an_unknown_node_is_named_with_its_near_miss(mixture):
    with pytest.raises(HierarchyError, match=r"unknown node 'guitars'; this model estimates .*did you mean"):
        HierarchicalSeparator(mixture, network, nodes=["guitars"])


def test_no_node_at_all_is_refused(mixture):
    with pytest.raises(HierarchyError, match=r"expected one or more of strings_guitars_keyboards, .* got none"):
        HierarchicalSeparator(mixture, network, nodes=[])


def test_the_mixture_may_be_a_file_and_the_model_a_checkpoint(tmp_path, mixture):
    file = write_audio(tmp_path / "song.wav", mixture.audio_data, RATE)
    checkpoint.save(network, tmp_path / "net.safetensors")
    estimates = HierarchicalSeparator(file, model=tmp_path / "net.safetensors")()
    expected = separate(mixture.audio_data, RATE, network)
    np.testing.assert_allclose([e.audio_data for e in estimates], expected, atol=1e-5)


def test_what_cannot_be_separated_is_an_error_of_ours(tmp_path, mixture):
    with pytest.raises(DataError, match="no such file"):
        HierarchicalSeparator(tmp_path / "nothing.wav", network)
    with pytest.raises(DataError, match="empty AudioSignal"):
        HierarchicalSeparator(nussl.AudioSignal(), network)
    with pytest.raises(ConfigError, match="mix: expected an AudioSignal or the path of an audio file, got ndarray"):
        HierarchicalSeparator(np.zeros((1, 100)), network)
    with pytest.raises(CheckpointError, match="no such file"):
        HierarchicalSeparator(mixture, tmp_path / "nothing.safetensors")
    with pytest.raises(ConfigError, match="device"):
        HierarchicalSeparator(mixture, network, device="abacus")


def test_written_estimates_keep_what_lies_above_full_scale(tmp_path):
    samples = 4 * noise(0.3, db=-6, rate=22050, channels=2)
    file = write_audio(tmp_path / "loud.wav", samples, 22050)
    files = write_estimates(file, Passage(make(Identity, rate=22050), nodes=["guitar"]), tmp_path / "out")
    assert files == [tmp_path / "out" / "guitar.wav"]
    np.testing.assert_allclose(read_audio(files[0]), samples, atol=1e-4)
