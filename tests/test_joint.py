"""Several networks as one, and other libraries' models as nodes."""

import numpy as np
import pytest
import torch
from helpers import error_db, noise

from hiersep import HierarchicalSeparator, Hierarchy, QuerySeparator
from hiersep.compat import asteroid, nussl
from hiersep.errors import ConfigError, HierarchyError
from hiersep.models import checkpoint, foreign
from hiersep.models.constraints import running_maximum
from hiersep.models.foreign import ForeignSeparator
from hiersep.models.joint import JointSeparator
from hiersep.models.loading import load_separator
from hiersep.models.path import PathSeparator
from hiersep.separation import separate

PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
SPECTRUM = {"n_fft": 256, "hop_length": 128}
SIZES = {"hidden_size": 4, "num_layers": 1}
RATE = 8000


def single(node, seed=0, rate=RATE, spectrum=SPECTRUM, hierarchy="slakh_ismir2020", **network):
    torch.manual_seed(seed)
    nodes = [node] if isinstance(node, str) else node
    return PathSeparator(hierarchy, nodes, sample_rate=rate, spectrum=spectrum, network={**SIZES, **network}).eval()


@pytest.fixture
def singles():
    return [single(node, seed) for seed, node in enumerate(PATH)]


# Joint


def test_each_node_is_estimated_by_its_own_network(singles):
    mixture = noise(1.0, rate=RATE, channels=2)
    joint = separate(mixture, RATE, JointSeparator(singles[::-1]))
    for node, network in enumerate(singles):
        np.testing.assert_array_equal(joint[node], separate(mixture, RATE, network)[0])


def test_the_constraint_across_networks_is_the_running_maximum_of_their_masks(singles):
    mixture = torch.from_numpy(noise(1.0, rate=RATE)[None]).float()
    free = JointSeparator(singles).separate_batch(mixture).masks
    bound = JointSeparator(singles, constraint="max").separate_batch(mixture).masks
    torch.testing.assert_close(bound, running_maximum(free), rtol=0, atol=0)
    assert (free[:, 0] < free[:, 2]).any()


def test_three_checkpoints_are_one_nussl_separation_object(singles, tmp_path):
    files = [tmp_path / f"{node}.safetensors" for node in PATH]
    for network, file in zip(singles, files, strict=True):
        checkpoint.save(network, file)
    mixture = nussl.AudioSignal(audio_data_array=noise(0.7, rate=RATE), sample_rate=RATE)
    separator = HierarchicalSeparator(mixture, model=files, nodes=["guitar", "clean_guitars"], device="cpu")
    assert separator.nodes == ("guitar", "clean_guitars")
    estimates = separator.to_dict()
    wanted = separate(mixture.audio_data, RATE, singles[1])[0]
    np.testing.assert_array_equal(estimates["guitar"].audio_data, wanted)
    mask = separator.result_masks[0].mask
    assert mask.shape[-1] == 1


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([single("guitar", rate=16000)], "expected the same sample rate of all, got 8000 and 16000 (numbers 1 and 2)"),
        ([single("guitar", spectrum={"n_fft": 512, "hop_length": 128})], "expected the same STFT of all"),
        ([single("bass", hierarchy="slakh34")], "expected the same hierarchy of all, got slakh_ismir2020 and slakh34"),
        ([single(["strings_guitars_keyboards", "guitar"])], "got strings_guitars_keyboards from several"),
        ([QuerySeparator("slakh34", network=SIZES, query=SIZES)], "expected networks of fixed nodes"),
    ],
)  # fmt: skip
def test_networks_that_do_not_go_together_are_refused(others, message):
    with pytest.raises(ConfigError) as caught:
        JointSeparator([single("strings_guitars_keyboards"), *others])
    assert message in str(caught.value)


def test_a_constraint_wants_real_masks_of_one_path():
    with pytest.raises(ConfigError, match="nodes of one path for max, got superlevel_bass, guitar"):
        JointSeparator([single("guitar"), single("superlevel_bass")][::-1], constraint="max")
    with pytest.raises(ConfigError, match="got complex ones"):
        JointSeparator([single("guitar", mask="complex", constraint="none")], constraint="max")


def test_its_key_follows_every_weight(singles):
    key = JointSeparator(singles).key
    assert JointSeparator(singles).key == key != JointSeparator(singles, constraint="max").key
    with torch.no_grad():
        next(singles[1].parameters())[0] += 1
    assert JointSeparator(singles).key != key


# Foreign


class Bands(torch.nn.Module):
    """A flat model of four stems: gains of the mixture, some of them negative, which no share is."""

    gains = (0.5, 0.25, -0.1, 0.05)

    def forward(self, mixture):
        return torch.stack([gain * mixture for gain in self.gains], dim=1)


def test_stems_become_shares_that_sum_to_their_parents_exactly():
    mixture = noise(1.5, rate=44100, channels=2)
    model = ForeignSeparator(Bands(), ["vocals", "drums", "bass", "other"], "musdb18", sample_rate=44100)
    assert model.nodes == tuple(Hierarchy.load("musdb18").ids[1:])
    estimates = dict(zip(model.nodes, separate(mixture, 44100, model), strict=True))
    parts = sum(estimates[name] for name in ("drums", "bass", "other"))
    assert error_db(estimates["accompaniment"], parts) < -100
    # Magnitudes 0.5, 0.25, 0.1, 0.05 and a rest of 0.3.
    np.testing.assert_allclose(estimates["bass"], mixture * 0.1 / 1.2, atol=1e-4)
    np.testing.assert_allclose(estimates["accompaniment"], mixture * 0.4 / 1.2, atol=1e-4)


def test_a_node_whose_children_are_not_all_there_is_not_estimated():
    two = ForeignSeparator(lambda x: torch.stack([x / 2, x / 2], 1), ["drums", "vocals"], "musdb18", sample_rate=44100)
    assert two.nodes == ("vocals", "drums")
    same = ForeignSeparator(lambda x: torch.stack([x / 4, x / 4], 1), ["drums", "drums"], "musdb18", sample_rate=44100)
    np.testing.assert_allclose(separate(np.ones((1, 5000)), 44100, same), 0.5, atol=1e-3)
    ignored = ForeignSeparator(lambda x: torch.stack([x / 4, x / 4], 1), ["bass", None], "musdb18", sample_rate=44100)
    assert ignored.nodes == ("bass",)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_model_that_wants_stereo_gets_it(channels):
    seen = []

    def model(mixture):
        seen.append(mixture.shape[1])
        return mixture[:, None] / 2

    separator = ForeignSeparator(model, ["drums"], "musdb18", sample_rate=44100, channels=2)
    mixture = noise(0.5, rate=44100, channels=channels)
    assert separate(mixture, 44100, separator).shape == (1, *mixture.shape)
    assert set(seen) == {2}


def test_a_model_of_other_axes_is_refused():
    model = ForeignSeparator(lambda mixture: mixture, ["drums"], "musdb18", sample_rate=44100)
    with pytest.raises(ConfigError, match=r"estimate: expected \(batch, stem, channel, time\) = \(1, 1, 1, 900\)"):
        separate(np.ones((1, 900)), 44100, model)
    with pytest.raises(HierarchyError, match="drumz"):
        ForeignSeparator(Bands(), ["drumz"], "musdb18", sample_rate=44100)


@pytest.mark.adapters
def test_an_asteroid_model_becomes_nodes():
    torch.manual_seed(0)
    convtasnet = asteroid.models.ConvTasNet(
        n_src=2, n_filters=16, n_blocks=1, n_repeats=1, bn_chan=8, hid_chan=8, skip_chan=8, sample_rate=8000
    ).eval()
    model = foreign.of_asteroid(convtasnet, ["vocals", "drums"], "musdb18")
    mixture = noise(1.0, rate=RATE, channels=2).astype(np.float32)
    estimates = separate(mixture, RATE, model)
    assert estimates.shape == (2, *mixture.shape)
    with torch.inference_mode():
        stems = convtasnet(torch.from_numpy(mixture)).transpose(0, 1)  # (stem, channel, time)
        spectra = model.stft(torch.cat([stems, (torch.from_numpy(mixture) - stems.sum(0))[None]])).abs()
        shares = spectra / spectra.sum(0).clamp(min=1e-8)
        wanted = model.stft.inverse(shares[:2] * model.stft(torch.from_numpy(mixture)), mixture.shape[1])
    assert error_db(estimates, wanted.numpy()) < -80


def test_foreign_models_have_names():
    with pytest.raises(ConfigError, match=r"openunmix:umxl: openunmix is not installed; try `pip install openunmix`"):
        load_separator("openunmix:umxl")
    with pytest.raises(ConfigError, match="expected networks of hiersep's, got a ForeignSeparator"):
        load_separator([single("guitar"), ForeignSeparator(Bands(), ["drums"] * 4, "musdb18", sample_rate=44100)])
