"""The separators as asteroid's models: by each of its routes every level keeps its gain, and nothing is unpickled."""

import pickle

import numpy as np
import pytest
import soundfile
import torch
from helpers import error_db, noise, tone

from hiersep.compat import asteroid
from hiersep.errors import CheckpointError, ConfigError
from hiersep.models import checkpoint
from hiersep.models.path import PathSeparator
from hiersep.models.query import QuerySeparator
from hiersep.models.separator import MaskingSeparator
from hiersep.models.tree import TreeSeparator

pytestmark = pytest.mark.adapters

RATE = 8000
PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
SIZES = {"hidden_size": 6, "num_layers": 1}
SETTINGS = {"sample_rate": RATE, "spectrum": {"n_fft": 64, "hop_length": 32}, "network": SIZES}
GAINS = (0.75, 0.5, 0.25)  # parents hold their children: asteroid alone would give back a sum of 1
KINDS = ("path", "query", "anchor", "tree")


def make(kind):
    torch.manual_seed(0)
    if kind == "path":
        return PathSeparator("slakh_ismir2020", PATH, **SETTINGS).eval()
    if kind == "tree":
        return TreeSeparator("slakh_ismir2020", PATH, **SETTINGS).eval()
    return QuerySeparator("slakh34", query=SIZES, **SETTINGS).eval()


def constant(kind):
    """A separator whose masks are `GAINS` at all times and frequencies, whatever it hears."""
    model = make(kind)
    if kind == "tree":  # a child and a remainder share every parent
        shares = torch.tensor([gain / parent for gain, parent in zip(GAINS, (1, *GAINS), strict=False)])
        outputs = torch.stack([shares.log(), (1 - shares).log()], dim=1).flatten()
    else:
        outputs = torch.tensor(GAINS).logit()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(outputs.repeat_interleave(model.stft.n_freq))
    return model


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def wav():
    """Three quarters of a second of one channel: (channel, time)."""
    samples = tone(0.75, hz=300, rate=RATE) + noise(0.75, rate=RATE)
    return torch.from_numpy(samples).float()


@pytest.fixture(scope="module")
def query():
    return torch.from_numpy(tone(0.3, hz=500, rate=RATE)).float()


def beside(kind, model, query):
    """What the network takes beside the mixture, as keywords."""
    if kind == "query":
        return {"query": query}
    return {"anchor": model.embed(query[None]).detach()} if kind == "anchor" else {}


ROUTES = {
    "model.separate, tensor": lambda model, wav, **more: model.separate(wav, **more),
    "model.separate, array": lambda model, wav, **more: model.separate(wav.numpy(), **more),
    "model.torch_separate": lambda model, wav, **more: model.torch_separate(wav, **more),
    "model.numpy_separate": lambda model, wav, **more: model.numpy_separate(wav.numpy(), **more),
    "separate, tensor": lambda model, wav, **more: asteroid.separate.separate(model, wav, **more),
    "separate, array": lambda model, wav, **more: asteroid.separate.separate(model, wav.numpy(), **more),
    "torch_separate": lambda model, wav, **more: asteroid.separate.torch_separate(model, wav, **more),
    "numpy_separate": lambda model, wav, **more: asteroid.separate.numpy_separate(model, wav.numpy(), **more),
}


# Gains


@pytest.mark.parametrize("route", ROUTES)
def test_every_level_keeps_its_gain(kind, route, wav, query):
    model = constant(kind)
    found = ROUTES[route](model, wav, **beside(kind, model, query))
    assert type(found) is (np.ndarray if "array" in route or "numpy" in route else torch.Tensor)
    assert found.shape == (1, 3, wav.shape[1])
    for estimate, gain in zip(torch.as_tensor(found)[0], GAINS, strict=True):
        assert error_db(estimate, gain * wav[0]) < -100


@pytest.mark.parametrize("route", ROUTES)
def test_a_batch_is_separated_as_the_model_itself_does(kind, route, query):
    model = make(kind)
    batch = torch.from_numpy(np.stack([noise(0.2, rate=RATE, seed=seed) for seed in (1, 2)])).float()
    more = beside(kind, model, query)
    found = ROUTES[route](model, batch, **more)
    torch.testing.assert_close(torch.as_tensor(found), model(batch, **more)[:, :, 0], atol=1e-6, rtol=0)
    assert not torch.as_tensor(found).requires_grad


def test_audio_of_one_dimension_is_one_item(kind, wav, query):
    """As asteroid documents; alone it raises an IndexError."""
    model = make(kind)
    more = beside(kind, model, query)
    torch.testing.assert_close(model.separate(wav[0], **more), model.separate(wav, **more)[0], atol=1e-6, rtol=0)


def test_silence_stays_silence_and_no_nan(kind, query):
    model = make(kind)
    found = model.separate(torch.zeros(1, 500), **beside(kind, model, query))
    assert torch.equal(found, torch.zeros(1, 3, 500))


@pytest.mark.parametrize("function", ["model", "free"])
def test_files_are_written_with_every_level_at_its_gain(kind, function, wav, query, tmp_path):
    """asteroid writes 16 bits: an error of half a step, -96 dB of full scale."""
    model = constant(kind)
    soundfile.write(tmp_path / "song.wav", wav[0].numpy(), RATE, "FLOAT")
    more = beside(kind, model, query)
    if function == "model":
        model.file_separate(str(tmp_path / "song.wav"), **more)
    else:
        asteroid.separate.separate(model, str(tmp_path / "song.wav"), **more)
    for number, gain in enumerate(GAINS, 1):
        found, rate = soundfile.read(tmp_path / f"song_est{number}.wav")
        assert rate == RATE
        np.testing.assert_allclose(found, gain * wav[0].numpy(), atol=2**-15)


def test_double_precision_and_arrays_beside_the_mixture_are_taken(query, wav):
    """NumPy's and soundfile's own precision; asteroid passes on what it gets as it is."""
    model = make("query")
    expected = model.separate(wav, query=query)
    found = model.separate(wav.double().numpy(), query=query.double().numpy())
    assert found.dtype == np.float32
    torch.testing.assert_close(torch.as_tensor(found), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(model.separate(wav, query=query[0], anchor=None), expected, atol=1e-6, rtol=0)


def test_forward_wav_takes_every_shape_of_asteroids(kind, wav, query):
    model = make(kind)
    more = beside(kind, model, query)
    batch = torch.cat([wav, wav.flip(1)])
    expected = model(batch[:, None], **more)[:, :, 0]
    torch.testing.assert_close(model.forward_wav(batch[0], **more), expected[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(model.forward_wav(batch, **more), expected)
    torch.testing.assert_close(model.forward_wav(batch[:, None], **more), expected)


def test_two_channels_are_refused_instead_of_taken_for_two_items(kind, wav, query):
    model = make(kind)
    stereo = torch.stack([wav[0], wav[0]])[None]
    with pytest.raises(ConfigError, match="expected one channel"):
        model.forward_wav(stereo, **beside(kind, model, query))
    with pytest.raises(RuntimeError, match="takes 1 channels, the audio has 2"):
        model.separate(stereo, **beside(kind, model, query))


# Long audio


def overlap_add(model, more, **options):
    settings = {"n_src": 3, "window_size": 1024, "reorder_chunks": False}
    return asteroid.dsp.overlap_add.LambdaOverlapAdd(model.monaural(**more), **{**settings, **options})


def test_asteroids_overlap_add_keeps_every_level_at_its_gain(kind, wav, query, tmp_path):
    """The stock class, called itself, through asteroid's `separate`, and on a file."""
    model = constant(kind)
    long = overlap_add(model, beside(kind, model, query))
    soundfile.write(tmp_path / "song.wav", wav[0].numpy(), RATE, "FLOAT")
    asteroid.separate.separate(long, str(tmp_path / "song.wav"))
    files = [soundfile.read(tmp_path / f"song_est{number}.wav")[0] for number in (1, 2, 3)]
    calls = [long(wav[None]), asteroid.separate.separate(long, wav[None])]
    calls += [torch.from_numpy(asteroid.separate.separate(long, wav[None].numpy()))]
    for place, gain in enumerate(GAINS):
        for found in calls:
            assert found.shape == (1, 3, wav.shape[1])
            assert error_db(found[0, place], gain * wav[0]) < -100
        np.testing.assert_allclose(files[place], gain * wav[0].numpy(), atol=2**-15)


def test_asteroids_overlap_add_hands_the_network_its_chunks_as_they_are(kind, query):
    """One chunk, of the whole sound, without a window: what comes out is the network's own output."""
    model = make(kind)
    more = beside(kind, model, query)
    wav = torch.from_numpy(noise(0.5, rate=RATE)).float()[None]
    found = overlap_add(model, more, window=None, window_size=4000, hop_size=4000)(wav)
    torch.testing.assert_close(found, model(wav, **more)[:, :, 0], atol=1e-6, rtol=0)


def test_asteroids_reordering_exchanges_levels_whose_loudness_crosses(wav):
    """By default it takes the outputs for interchangeable; so the guide says `reorder_chunks=False`."""

    class Crossing(torch.nn.Module):
        """Two nodes of which now this, now that is loud: chunk by chunk."""

        sample_rate, in_channels, chunk = RATE, 1, 0

        def forward(self, wav):
            self.chunk += 1
            gains = torch.tensor([0.9, 0.1] if self.chunk % 2 else [0.1, 0.9])
            return gains[None, :, None] * wav

    settings = {"n_src": 2, "window_size": 1024, "window": None}
    reordered, kept = (
        asteroid.dsp.overlap_add.LambdaOverlapAdd(Crossing(), **settings, reorder_chunks=reorder)(wav[None])[0]
        for reorder in (True, False)
    )
    for found in kept:  # two chunks overlap everywhere, one of each gain
        assert error_db(found, 0.5 * wav[0]) < -100
    assert error_db(reordered[0], 0.9 * wav[0]) < -100 or error_db(reordered[0], 0.1 * wav[0]) < -100


def test_the_wrapped_network_has_the_weights_themselves(kind, query):
    model = make(kind)
    wrapped = model.monaural(**beside(kind, model, query))
    assert [id(p) for p in wrapped.parameters()] == [id(p) for p in model.parameters()]
    assert (wrapped.sample_rate, wrapped.in_channels) == (RATE, 1)


# Serialising


def test_serialize_and_from_pretrained_make_the_same_network(kind, wav, query):
    model = make(kind)
    again = type(model).from_pretrained(model.serialize()).eval()
    assert again.nodes == model.nodes
    assert (again.sample_rate, again.in_channels) == (RATE, 1)
    more = beside(kind, model, query)
    assert torch.equal(again(wav[None], **more), model(wav[None], **more))


def test_a_checkpoint_file_makes_the_same_network(kind, wav, query, tmp_path):
    model = make(kind)
    checkpoint.save(model, tmp_path / "best.safetensors")
    more = beside(kind, model, query)
    for source in (tmp_path / "best.safetensors", str(tmp_path / "best.safetensors")):
        for cls in (type(model), MaskingSeparator):
            again = cls.from_pretrained(source)
            assert type(again) is type(model)
            assert torch.equal(again(wav[None], **more), model(wav[None], **more))


def test_no_route_of_a_file_unpickles(kind, wav, query, tmp_path, monkeypatch):
    model = make(kind)
    checkpoint.save(model, tmp_path / "best.safetensors")
    soundfile.write(tmp_path / "song.wav", wav[0].numpy(), RATE, "FLOAT")
    # As asteroid itself saves its models; to be refused without a look inside.
    torch.save(model.serialize(), tmp_path / "theirs.pth")

    def unpickle(*args, **kwargs):
        pytest.fail("a pickle was read")

    for module, name in [(pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")]:
        monkeypatch.setattr(module, name, unpickle)
    again = type(model).from_pretrained(str(tmp_path / "best.safetensors"))
    again.file_separate(str(tmp_path / "song.wav"), **beside(kind, again, query))
    assert (tmp_path / "song_est3.wav").is_file()
    with pytest.raises(CheckpointError, match="expected a safetensors checkpoint"):
        type(model).from_pretrained(str(tmp_path / "theirs.pth"))


def test_a_network_of_another_class_is_refused_in_one_line(tmp_path):
    path, query = make("path"), make("query")
    checkpoint.save(query, tmp_path / "query.safetensors")
    for source in (query.serialize(), tmp_path / "query.safetensors"):
        with pytest.raises(CheckpointError, match=r"expected a PathSeparator, got QuerySeparator") as caught:
            PathSeparator.from_pretrained(source)
        assert "\n" not in str(caught.value)
    for name in ("ConvTasNet", None):
        with pytest.raises(CheckpointError, match=f"expected a PathSeparator, got {name}"):
            PathSeparator.from_pretrained({**path.serialize(), "model_name": name})


def test_arguments_beside_a_file_are_refused_and_beside_a_dict_taken(tmp_path):
    model = make("path")
    checkpoint.save(model, tmp_path / "best.safetensors")
    with pytest.raises(ConfigError, match=r"expected no arguments beside a checkpoint file, .* got sample_rate"):
        PathSeparator.from_pretrained(tmp_path / "best.safetensors", sample_rate=16000)
    assert PathSeparator.from_pretrained(model.serialize(), sample_rate=16000).sample_rate == 16000


def test_the_networks_are_not_in_asteroids_register_until_somebody_puts_them_there():
    """asteroid's register is its module's globals: nothing is written there by an import of ours."""
    model = make("path")
    with pytest.raises(ValueError, match="PathSeparator"):
        asteroid.models.get("PathSeparator")
    asteroid.models.register_model(PathSeparator)
    try:
        assert asteroid.models.get("PathSeparator") is PathSeparator
        assert type(asteroid.models.BaseModel.from_pretrained(model.serialize())) is PathSeparator
        assert type(PathSeparator.from_pretrained(model.serialize())) is PathSeparator
    finally:
        del asteroid.models.PathSeparator
