"""Each mend of `hiersep.compat`: needed (without it the host fails) and sufficient (with it the numbers are right)."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from hiersep.compat import for_scaper
from hiersep.compat.patching import import_host
from hiersep.errors import HiersepError

pytestmark = pytest.mark.adapters

ROOT = Path(__file__).parents[1]
RATE = 8000


def db(value, reference=1.0):
    return 20 * np.log10(np.sqrt(np.mean(np.square(value))) / np.sqrt(np.mean(np.square(reference))) + 1e-30)


def sine(frequency, amplitude=0.5, seconds=1.0):
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE)


def run_python(code, *options, path=""):
    """Run code in a fresh interpreter that finds no program but those in `path`."""
    command = [sys.executable, *options, "-c", textwrap.dedent(code)]
    environment = {**os.environ, "PATH": str(path), "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


@pytest.fixture(scope="module")
def nussl():
    from hiersep.compat import nussl

    return nussl


@pytest.fixture(scope="module")
def scaper():
    from hiersep.compat import scaper

    return scaper


@pytest.fixture(scope="module")
def asteroid():
    from hiersep.compat import asteroid

    return asteroid


@pytest.fixture
def signal(nussl):
    def make(data):
        return nussl.AudioSignal(audio_data_array=np.atleast_2d(data), sample_rate=RATE)

    return make


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# ---- importing ----


@pytest.fixture(scope="module")
def unmended():
    """How the plain imports end in a fresh process, and what they print."""
    return run_python(
        """
        import importlib, warnings
        for name in ("nussl", "museval", "torchaudio", "asteroid", "torchmetrics", "scaper"):
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                try:
                    importlib.import_module(name)
                    result = "imported"
                except Exception as error:
                    result = f"{type(error).__name__} {error}".replace("\\n", " ")
            print(name, result, *(str(warning.message).replace("\\n", " ") for warning in told), sep=" | ")
        """
    )


@pytest.mark.parametrize(
    ("host", "failure"),
    [
        ("nussl", "module 'scipy.signal' has no attribute 'hamming'"),
        ("museval", "ffmpeg or ffprobe could not be found"),
        ("torchmetrics", "pkg_resources is deprecated"),
    ],
)
def test_a_plain_import_fails_or_complains(unmended, host, failure):
    line = next(line for line in unmended.stdout.splitlines() if line.startswith(host))
    assert failure in line


def test_a_plain_import_of_asteroid_fails_with_a_torchaudio_that_does_not_load(unmended):
    results = dict(line.split(" | ")[:2] for line in unmended.stdout.splitlines())
    if results["torchaudio"] == "imported":
        pytest.skip("torchaudio loads here: there is nothing to mend")
    assert results["asteroid"] == results["torchaudio"] != "imported"


def test_a_plain_import_of_scaper_complains_of_sox(unmended):
    assert "SoX could not be found" in unmended.stderr


IMPORTS = """
    import logging, os, sys, threading, warnings
    import hiersep.compat
    assert not {"torch", "numpy", "nussl", "asteroid", "scaper"} & set(sys.modules)

    import importlib, types
    LIBRARIES = ("numpy", "scipy", "scipy.signal", "torch", "librosa", "os")
    for name in LIBRARIES:
        importlib.import_module(name)
    before = {name: dict(vars(sys.modules[name])) for name in LIBRARIES}
    filters = list(warnings.filters)

    def load(name):
        found[name] = getattr(hiersep.compat, name)

    found = {}
    {imports}

    for name, attributes in before.items():
        after = vars(sys.modules[name])
        # torch._dynamo, which gpytorch brings, wraps torch.manual_seed itself
        changed = {key for key, value in attributes.items() if after[key] is not value}
        assert changed <= {"__warningregistry__", "manual_seed"}, (name, changed)
        for key in set(after) - set(attributes) - {"__warningregistry__"}:
            library = name.partition(".")[0]
            assert isinstance(after[key], types.ModuleType) or after[key].__module__.startswith(library), (name, key)
    assert warnings.filters == filters
    assert logging.getLogger("sox").level == logging.NOTSET

    from hiersep.compat import patching, for_nussl
    for name, module in sys.modules.items():
        assert module is not None, name
        assert not isinstance(module, (patching.Overlay, for_nussl._NoStemReader)), name
    for package in ("torchaudio", "stempeg", "musdb", "museval"):
        parts = {name for name in sys.modules if name.partition(".")[0] == package}
        if parts:
            assert sys.modules[package].__spec__.origin.endswith("__init__.py"), parts
        print(package, "loaded" if parts else "absent")

    import asteroid, nussl, scaper
    assert asteroid.engine.System
    assert [asteroid, nussl, scaper] == [found["asteroid"], found["nussl"], found["scaper"]]
"""
# torch 2.6 leaves a temporary folder of its own to the end of Python.
STRICT = ("-W", "error", "-W", "ignore:Implicitly cleaning up:ResourceWarning")
IN_ORDER = "for name in ('nussl', 'asteroid', 'scaper'): load(name)"
IN_THREADS = """
    threads = [threading.Thread(target=load, args=(name,)) for name in ("scaper", "asteroid", "nussl") * 3]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


@pytest.fixture
def programs(tmp_path):
    """A folder with something called ffmpeg and ffprobe, which is all that stempeg looks for."""
    for name in ("ffmpeg", "ffprobe"):
        (tmp_path / name).touch(mode=0o755)
    return tmp_path


def test_importing_the_hosts_is_silent_and_leaves_the_libraries_alone():
    done = run_python(IMPORTS.replace("{imports}", IN_ORDER), *STRICT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "stempeg absent" in done.stdout
    assert "museval absent" in done.stdout


def test_so_do_threads_in_another_order_with_ffmpeg_at_hand(programs):
    done = run_python(IMPORTS.replace("{imports}", IN_THREADS), *STRICT, path=programs)
    assert (done.returncode, done.stderr) == (0, "")
    assert "stempeg loaded" in done.stdout
    assert "museval loaded" in done.stdout


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("scaper", "pip install scaper==1.6.5"),
        ("nussl", "pip install nussl==1.1.9"),
        ("pkg_resources", "pip install 'setuptools<81'"),
        ("requests", "pip install requests"),
    ],
)
def test_what_is_not_installed_is_named_with_its_install_command(monkeypatch, module, command):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(HiersepError, match=command):
        import_host(module)


def test_compat_has_no_other_attributes():
    import hiersep.compat

    assert {"asteroid", "nussl", "scaper"} <= set(dir(hiersep.compat))
    with pytest.raises(AttributeError, match="nothing"):
        hiersep.compat.nothing  # noqa: B018


# ---- nussl ----

AUDIOREAD_WARNING = pytest.mark.filterwarnings("ignore:'(aifc|audioop|sunau)' is deprecated:DeprecationWarning")


def test_nussl_knows_its_windows_and_inverts_its_stft(nussl, signal, rng):
    assert nussl.constants.ALL_WINDOWS == ["hamming", "rectangular", "hann", "blackman", "triang", "sqrt_hann"]
    noise = rng.standard_normal((2, 7919))
    for window in nussl.constants.ALL_WINDOWS:
        audio = signal(noise)
        audio.stft_params = nussl.STFTParams(window_length=512, hop_length=128, window_type=window)
        audio.stft()
        audio.istft()
        assert db(audio.audio_data - noise, noise) < -100, window


def test_nussl_masks_split_a_mixture_exactly(nussl, signal, rng):
    mixture = signal(rng.standard_normal(RATE))
    values = rng.random(mixture.stft().shape)
    for mask in (nussl.core.masks.SoftMask(values), nussl.core.masks.BinaryMask(values > 0.5)):
        parts = [mixture.apply_mask(one) for one in (mask, mask.invert_mask())]
        for part in parts:
            part.istft(truncate_to_length=RATE)
        rest = sum(part.audio_data for part in parts) - mixture.audio_data
        assert db(rest, mixture.audio_data) < -100


@AUDIOREAD_WARNING
def test_nussl_reads_and_writes(nussl, signal, tmp_path):
    signal(sine(440)).write_audio_to_file(str(tmp_path / "a.wav"))
    again = nussl.AudioSignal(str(tmp_path / "a.wav"), offset=0.5)
    assert again.signal_length == RATE // 2
    assert db(again.audio_data[0] - sine(440)[RATE // 2 :], sine(440)) < -80


def test_resample_needs_its_mend_and_keeps_frequency_and_amplitude(nussl, signal, monkeypatch):
    audio = signal(sine(440))
    audio.resample(4 * RATE)
    middle = slice(RATE, 3 * RATE)
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / (4 * RATE))
    assert audio.sample_rate == 4 * RATE
    assert db(audio.audio_data[0, middle] - wanted[middle], wanted) < -60
    monkeypatch.setattr(nussl.core.audio_signal, "librosa", sys.modules["librosa"])
    with pytest.raises(TypeError, match="positional"):
        audio.resample(RATE)


def test_overlap_add_by_default_needs_its_mend_and_gives_back_the_signal(nussl, signal, monkeypatch):
    class Everything(nussl.separation.base.SeparationBase):
        def run(self):
            pass

        def make_audio_signals(self):
            return [self.audio_signal]

    (whole,) = nussl.separation.composite.OverlapAdd(Everything(signal(sine(440, seconds=3.0))), window_duration=1.0)()
    settled = slice(RATE, 2 * RATE)  # its windows, which end at zero, sum to nearly one
    assert db(whole.audio_data[0, settled] - sine(440, seconds=3.0)[settled], sine(440)) < -40
    monkeypatch.setattr(nussl.core.audio_signal, "scipy", sys.modules["scipy"])
    with pytest.raises(ValueError, match=r"hanning|^Unknown window type\.$"):
        nussl.AudioSignal.get_window("hanning", 16)


def test_windowed_rms_needs_its_mend_and_equals_the_amplitude(nussl, signal, monkeypatch):
    audio = signal(sine(500))
    assert audio.rms(win_len=1024)[3:-3] == pytest.approx(0.5 / np.sqrt(2), rel=1e-3)
    monkeypatch.setattr(nussl.core.audio_signal, "librosa", sys.modules["librosa"])
    with pytest.raises(TypeError, match="positional"):
        audio.rms(win_len=1024)


def test_mel_projection_needs_its_mend_and_holds_librosas_filters(nussl, monkeypatch):
    librosa = sys.modules["librosa"]
    project = nussl.ml.networks.modules.MelProjection
    weight = project(RATE, 129, 20, normalize=False).transform.weight.detach().numpy()
    assert np.allclose(weight, librosa.filters.mel(sr=RATE, n_fft=256, n_mels=20))
    monkeypatch.setattr(nussl.ml.networks.modules.blocks, "librosa", librosa)
    with pytest.raises(TypeError, match="positional"):
        project(RATE, 129, 20)


@pytest.fixture
def axes():
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    yield plt.figure().gca()
    plt.close("all")


def test_the_waveform_picture_needs_its_mend_and_spans_the_signal(nussl, signal, axes):
    draw = nussl.utils.visualize_waveform
    with pytest.raises(AttributeError, match="waveplot"):
        draw.__wrapped__(signal(sine(3)))
    draw(signal(sine(3)))
    drawn = axes.lines[0].get_ydata()
    assert (drawn.min(), drawn.max()) == pytest.approx((-0.5, 0.5), abs=1e-3)
    nussl.utils.visualize_sources_as_waveform({"low": signal(sine(3)), "high": signal(sine(5))})
    assert [text.get_text() for text in axes.get_legend().get_texts()]


def test_the_mel_picture_needs_its_mend_and_peaks_at_the_tone(nussl, signal, axes):
    draw = nussl.utils.visualize_spectrogram
    with pytest.raises(TypeError, match="positional"):
        draw.__wrapped__(signal(sine(1000)), y_axis="mel")
    draw(signal(sine(1000)), y_axis="mel")
    mesh = axes.collections[0]
    loudest = mesh.get_array().mean(axis=1).argmax()
    assert mesh.get_coordinates()[loudest, 0, 1] == pytest.approx(1000, abs=40)
    draw(signal(sine(1000)))


def test_the_mask_picture_needs_its_mend_and_gives_each_source_its_band(nussl, signal, axes):
    sources = {"low": signal(sine(500)), "high": signal(sine(3000))}
    draw = nussl.utils.visualize_sources_as_masks
    with pytest.raises(TypeError, match="tempo_min"):
        draw.__wrapped__(sources)
    axes.clear()
    draw(sources)
    alphas = {
        label.get_text(): np.asarray(image.get_array())[..., -1].mean(axis=1)
        for label, image in zip(axes.get_legend().get_texts(), axes.images, strict=True)
    }
    assert alphas["low"].argmax() / 129 * 4000 == pytest.approx(500, abs=70)
    assert alphas["high"].argmax() / 129 * 4000 == pytest.approx(3000, abs=70)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning:nussl")
def test_bsseval_scale_equals_the_closed_form_on_orthogonal_signals(nussl, signal):
    one, two = sine(100), sine(200)
    estimates = [signal(one + 0.1 * two), signal(0.5 * two + 0.25 * one)]
    scores = nussl.evaluation.BSSEvalScale([signal(one), signal(two)], estimates).evaluate()
    assert scores["source_0"]["SI-SDR"][0] == pytest.approx(20)
    assert scores["source_1"]["SI-SDR"][0] == pytest.approx(20 * np.log10(2))
    assert scores["source_1"]["SD-SDR"][0] == pytest.approx(-10 * np.log10(5 / 16) - 20 * np.log10(2))


def test_bsseval_v4_works_though_museval_wants_ffmpeg(nussl, signal, rng):
    references = [signal(rng.standard_normal(2 * RATE)) for _ in range(2)]
    estimates = [reference + signal(0.1 * rng.standard_normal(2 * RATE)) for reference in references]
    scores = nussl.evaluation.BSSEvalV4(references, estimates).evaluate()
    assert scores["source_0"]["SDR"][0] == pytest.approx(20, abs=0.5)


def test_stem_files_without_ffmpeg_say_what_is_missing(nussl):
    from hiersep.compat.for_nussl import _NoStemReader

    with pytest.raises(HiersepError, match="install ffmpeg"):
        _NoStemReader("stempeg").read_stems("song.stem.mp4")
    assert nussl.musdb.DB


def test_the_report_card_needs_its_mend_and_shows_the_means(nussl):
    import pandas as pd

    scores = pd.DataFrame({"source": ["a", "a"], "file": ["1.json", "2.json"], "SDR": [1.0, 4.0]})
    card = nussl.evaluation.report_card(scores)
    assert "2.50" in card
    assert "2.12" in card
    function = nussl.evaluation.report_card.__globals__["_get_mean_and_std"]
    with pytest.raises(TypeError, match="mean"):
        function.__wrapped__(scores)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_duet_needs_its_mend_and_tells_left_from_right(nussl, signal, rng, monkeypatch):
    tones = [signal(sum(sine(f, 0.1) for f in band)) for band in ((400, 900, 1500), (2000, 2600, 3100))]
    left, right = (nussl.mixing.pan_audio_signal(tone, angle) for tone, angle in zip(tones, (-25, 25), strict=True))
    estimates = nussl.separation.spatial.Duet(left + right, 2)()
    errors = [[db((a - b).audio_data, b.audio_data) for a in estimates] for b in (left, right)]
    assert max(min(row) for row in errors) < -10
    monkeypatch.setattr(nussl.separation.spatial.duet, "np", np)
    with pytest.raises(AttributeError, match=r"np\.mat"):
        nussl.separation.spatial.Duet(left + right, 2)()


@AUDIOREAD_WARNING
def test_nussl_data_sets_yield_mixtures_that_are_sums(nussl, signal, rng, tmp_path):
    for name in ("mix", "one", "two"):
        (tmp_path / name).mkdir()
    sources = [signal(0.1 * rng.standard_normal(RATE)) for _ in range(2)]
    for folder, audio in zip(("mix", "one", "two"), (sum(sources), *sources), strict=True):
        audio.write_audio_to_file(str(tmp_path / folder / "a.wav"))

    def mix(dataset, index):
        drawn = {name: signal(rng.standard_normal(RATE)) for name in ("one", "two")}
        return {"mix": sum(drawn.values()), "sources": drawn, "metadata": {"index": index}}

    for dataset in (nussl.datasets.OnTheFly(mix, 3), nussl.datasets.MixSourceFolder(str(tmp_path))):
        item = dataset[0]
        assert sorted(item["sources"])[-1] == "two"
        assert db(item["mix"].audio_data - sum(item["sources"].values()).audio_data) < -80


class Gain(torch.nn.Module):
    """A module for nussl, which keeps its source: it must live in a file."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, data):
        return self.factor * data


def test_nussl_builds_a_model_of_a_registered_module(nussl):
    nussl.ml.register_module(Gain)
    config = {
        "name": "gain",
        "modules": {"mix_magnitude": {}, "gain": {"class": "Gain", "args": {"factor": 3.0}}},
        "connections": [["gain", ["mix_magnitude"]]],
        "output": ["gain"],
    }
    model = nussl.ml.SeparationModel(config)
    assert model({"mix_magnitude": torch.ones(2)})["gain"].tolist() == [3, 3]


def test_a_separator_may_be_built_on_nussls_base_class(nussl, signal, rng):
    class Split(nussl.separation.base.MaskSeparationBase):
        def run(self):
            soft = nussl.core.masks.SoftMask
            self.result_masks = [soft(np.full(self.stft.shape, share)) for share in (0.25, 0.75)]
            return self.result_masks

        def make_audio_signals(self):
            estimates = [self.audio_signal.apply_mask(mask) for mask in self.result_masks]
            for estimate in estimates:
                estimate.istft(truncate_to_length=self.audio_signal.signal_length)
            return estimates

    mixture = signal(rng.standard_normal(RATE))
    estimates = Split(mixture, mask_type="soft")()
    assert db(estimates[1].audio_data - 0.75 * mixture.audio_data, mixture.audio_data) < -100
    assert db(sum(estimates).audio_data - mixture.audio_data, mixture.audio_data) < -100


# ---- scaper ----


@pytest.fixture
def soundscape(scaper, tmp_path, rng):
    """Draw a soundscape of one background and two events into tmp_path."""
    import soundfile

    sounds = {"bg/hum": 0.01 * rng.standard_normal(3 * RATE), "fg/ping": sine(440), "fg/hiss": sine(900, 0.2)}
    for name, data in sounds.items():
        (tmp_path / name).mkdir(parents=True)
        soundfile.write(tmp_path / name / "a.wav", data, RATE, subtype="FLOAT")

    def generate(**changes):
        scape = scaper.Scaper(2.0, str(tmp_path / "fg"), str(tmp_path / "bg"), random_state=0)
        scape.sr, scape.n_channels, scape.ref_db = RATE, 1, -30
        draw_file = {"source_file": ("choose", []), "source_time": ("const", 0)}
        scape.add_background(label=("const", "hum"), **draw_file)
        for label in ("ping", "hiss"):
            event = {"pitch_shift": None, "time_stretch": None, **changes}
            times = {"event_time": ("uniform", 0, 1), "event_duration": ("truncnorm", 0.7, 0.2, 0.3, 0.9)}
            scape.add_event(label=("const", label), snr=("uniform", 5, 10), **draw_file, **times, **event)
        return scape.generate(str(tmp_path / "mix.wav"), str(tmp_path / "mix.jams"))

    return generate


JAMS_WARNING = "ignore:Passing a schema to Validator.iter_errors:DeprecationWarning"


@pytest.mark.filterwarnings(JAMS_WARNING)
@pytest.mark.parametrize(
    "changes",
    [{}, {"pitch_shift": ("uniform", -2, 2)}, {"time_stretch": ("uniform", 0.8, 1.2)}],
    ids=["plain", "pitch shift", "time stretch"],
)
def test_scapers_mixture_is_the_sum_of_its_events_and_can_be_rebuilt(scaper, soundscape, tmp_path, changes):
    mixture, _, events, parts = soundscape(**changes)
    assert len(parts) == 3
    assert len(events) == 2
    assert mixture.std() > 0.001
    assert db(mixture - sum(parts), mixture) < -100
    rebuilt, *_ = scaper.generate_from_jams(str(tmp_path / "mix.jams"), str(tmp_path / "again.wav"))
    assert db(rebuilt - mixture, mixture) < -100


def test_scaper_needs_its_mend_also_where_it_was_imported_before(scaper, soundscape, monkeypatch):
    monkeypatch.setattr(scaper.core, "np", np)
    with pytest.raises(AttributeError, match=r"np\.Inf"):
        soundscape()
    assert for_scaper.load.__wrapped__() is scaper
    assert scaper.core.np.Inf == np.inf
    assert not hasattr(np, "Inf")


# ---- asteroid ----


@pytest.fixture
def tree_model(asteroid):
    """A model whose outputs are a parent and its two children: input times 1, 0.75 and 0.25."""

    class Tree(asteroid.models.BaseModel):
        def __init__(self, sample_rate=RATE):
            super().__init__(sample_rate=sample_rate)
            self.gains = torch.nn.Parameter(torch.tensor([1.0, 0.75, 0.25]))

        def forward(self, wav):
            return wav.reshape(-1, 1, wav.shape[-1]) * self.gains[:, None]  # (batch, node, time)

        def get_model_args(self):
            return {"sample_rate": self.sample_rate}

    return Tree()


def test_separate_keeps_the_gains_by_every_route(asteroid, tree_model, tmp_path):
    import soundfile

    audio = sine(440).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", audio, RATE, subtype="FLOAT")
    tree_model.separate(str(tmp_path / "a.wav"))
    written = [soundfile.read(tmp_path / f"a_est{index}.wav")[0] for index in (1, 2, 3)]
    batch = torch.from_numpy(audio)[None, None]
    results = {
        "tensor": tree_model.separate(batch)[0],
        "array": tree_model.separate(batch.numpy())[0],
        "function": asteroid.separate.torch_separate(tree_model, batch)[0],
        "method": tree_model.torch_separate(batch)[0],
        "file": written,
    }
    for route, outputs in results.items():
        gains = [np.dot(torch.as_tensor(output).numpy(), audio) / np.dot(audio, audio) for output in outputs]
        assert gains == pytest.approx([1, 0.75, 0.25], abs=1e-4), route


def test_without_its_mend_separate_halves_the_gains_and_breaks_silence(asteroid, tree_model):
    rescaling = asteroid.separate.torch_separate.__wrapped__
    audio = torch.ones(1, 1, 100)
    assert rescaling(tree_model, audio)[0, :, 0].tolist() == [0.5, 0.375, 0.125]
    assert torch.isnan(rescaling(tree_model, 0 * audio)).all()
    assert (tree_model.separate(0 * audio) == 0).all()


def test_separate_checks_the_number_of_channels_and_tracks_no_gradient(tree_model):
    assert not tree_model.separate(torch.ones(1, 1, 100)).requires_grad
    with pytest.raises(RuntimeError, match="takes 1 channels, the audio has 2"):
        tree_model.separate(torch.ones(1, 2, 100))


def test_the_gammatone_filterbank_needs_its_mend_and_its_filters_come_in_pairs(asteroid, monkeypatch):
    from asteroid_filterbanks import MultiphaseGammatoneFB, multiphase_gammatone_fb

    filters = MultiphaseGammatoneFB(n_filters=128, kernel_size=16, sample_rate=RATE).filters()
    assert filters.shape == (128, 1, 16)
    assert torch.allclose(filters.sum(0), torch.zeros(1, 16), atol=1e-5)  # each phase has its opposite
    monkeypatch.setattr(multiphase_gammatone_fb, "np", np)
    with pytest.raises(AttributeError, match="float"):
        MultiphaseGammatoneFB(n_filters=128, kernel_size=16, sample_rate=RATE)


def refusal():
    """What torch does with an LSTM whose size is an int64 of NumPy's."""
    try:
        torch.nn.LSTM(np.int64(2), 2)
    except TypeError:
        return pytest.raises(TypeError, match="int64")
    return contextlib.nullcontext()  # torch 2.6


def test_dccrnet_needs_its_mend_and_keeps_the_shape(asteroid, monkeypatch):
    network = asteroid.DCCRNet("mini").eval()
    assert network(torch.randn(2, 4000)).shape == (2, 1, 4000)
    monkeypatch.setattr(asteroid.masknn.recurrent, "np", np)
    with refusal():
        asteroid.DCCRNet("mini")


def test_the_loss_that_needs_torchaudio_says_so(asteroid):
    if "torchaudio" in sys.modules:
        pytest.skip("torchaudio loads here: there is nothing to explain")
    with pytest.raises(HiersepError, match="needs torchaudio, which does not load"):
        asteroid.losses.SingleSrcNegSTOI(RATE)


def test_asteroid_has_no_other_new_attributes(asteroid):
    with pytest.raises(AttributeError, match="nothing"):
        asteroid.nothing  # noqa: B018


@pytest.mark.parametrize("pit_from", ["pw_mtx", "pw_pt", "perm_avg"])
def test_pit_finds_the_permutation(asteroid, pit_from):
    losses = asteroid.losses
    functions = {
        "pw_mtx": losses.pairwise_neg_sisdr,
        "pw_pt": losses.singlesrc_neg_sisdr,
        "perm_avg": losses.multisrc_neg_sisdr,
    }
    torch.manual_seed(0)
    targets = torch.randn(2, 3, 800)
    loss = losses.PITLossWrapper(functions[pit_from], pit_from=pit_from)
    value, ordered = loss(targets[:, [2, 0, 1]], targets, return_est=True)
    assert torch.equal(ordered, targets)
    assert value < -50


@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:Found .* module.s. in eval mode at the start of training:UserWarning")
def test_a_step_of_asteroids_system_with_lightning_changes_the_weights(asteroid, tmp_path):
    system_class = asteroid.engine.System
    from pytorch_lightning import Trainer
    from pytorch_lightning.loggers import CSVLogger

    torch.manual_seed(0)
    sizes = {"n_filters": 16, "n_blocks": 1, "n_repeats": 1, "bn_chan": 8, "hid_chan": 8, "skip_chan": 8}
    network = asteroid.ConvTasNet(n_src=2, **sizes)
    data = torch.utils.data.TensorDataset(torch.randn(2, 800), torch.randn(2, 2, 800))
    loss = asteroid.losses.PITLossWrapper(asteroid.losses.pairwise_neg_sisdr)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loader = torch.utils.data.DataLoader(data, batch_size=2)
    system = system_class(network, optimizer, loss, loader, loader)
    before = [weight.detach().clone() for weight in network.parameters()]
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "limit_val_batches": 0}
    records = {"logger": CSVLogger(tmp_path), "log_every_n_steps": 1, "enable_checkpointing": False}
    Trainer(max_steps=1, accelerator="cpu", **records, **quiet).fit(system)
    moved = [not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True)]
    assert sum(moved) > len(moved) / 2
