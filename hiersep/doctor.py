"""Look whether everything is there that hiersep needs, and say what to do about the rest."""

from __future__ import annotations

import platform
import shutil
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from hiersep import __version__
from hiersep.errors import HiersepError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

State = Literal["ok", "missing", "broken"]


class Finding(NamedTuple):
    """What was found of one thing.

    Attributes:
        name: Of the thing.
        state: ``ok``; ``missing``: only what it serves does not work; ``broken``: hiersep does not work.
        text: What was found, or what is wrong and what to do, in a line.
    """

    name: str
    state: State
    text: str


def examine() -> Iterator[Finding]:
    """Look at one thing after the other; the quick ones first."""
    checks: dict[str, Callable[[], Finding]] = {
        "hiersep": _versions,
        "nussl, asteroid, scaper": _hosts,
        "device": _device,
        "audio": _audio,
        "ffmpeg": _ffmpeg,
        "fluidsynth": _fluidsynth,
        "effects": lambda: _extra("effects", "pedalboard", "effects of rendered stems", "no effects when rendering"),
        "app": lambda: _extra("app", "gradio", "hiersep app", "hiersep app does not work"),
        "cache": _cache,
        "networks": _networks,
        "separation": _separation,
    }
    for name, check in checks.items():
        try:
            yield check()
        except Exception as error:  # a check that fails, however it does, is a finding
            text = " ".join(str(error).split()) or type(error).__name__
            yield Finding(
                name, "broken", text if isinstance(error, HiersepError) else f"{type(error).__name__}: {text}"
            )


def _versions() -> Finding:
    names = ("torch", "numpy", "scipy", "pytorch-lightning", "soundfile")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("hiersep", "ok", f"{__version__}, {python}; {versions}")


def _hosts() -> Finding:
    from hiersep import compat

    versions = []
    for name in ("nussl", "asteroid", "scaper"):
        getattr(compat, name)  # importing them, mended, is the test
        versions.append(f"{name} {metadata.version(name)}")
    return Finding("nussl, asteroid, scaper", "ok", ", ".join(versions))


def _device() -> Finding:
    import torch

    from hiersep.separation import choose_device

    device = choose_device()
    what = f"{torch.get_num_threads()} threads of the processor, no GPU" if device == "cpu" else "a GPU"
    if device == "cuda":
        what = f"{torch.cuda.get_device_properties(0).name}, CUDA {torch.version.cuda}"
    return Finding("device", "ok", f"{device}: {what}")


def _audio() -> Finding:
    import numpy as np
    import soundfile

    from hiersep import audio

    samples = np.sin(np.arange(4410) / 7)[None] / 2
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("wav", "flac", "mp3"):
            suffix, subtype = audio.FileFormat.of(kind)
            audio.write(Path(folder) / f"a{suffix}", samples, 44100, subtype=subtype)
            audio.read(Path(folder) / f"a{suffix}")
    return Finding("audio", "ok", f"libsndfile {soundfile.__libsndfile_version__} writes and reads wav, flac, mp3")


def _ffmpeg() -> Finding:
    place = shutil.which("ffmpeg")
    if place is None:
        return Finding("ffmpeg", "missing", "m4a, films and .stem.mp4 cannot be read; install ffmpeg")
    return Finding("ffmpeg", "ok", f"{place}: m4a, films, .stem.mp4")


def _fluidsynth() -> Finding:
    from hiersep.render.synth import library

    try:
        version = library().version
    except HiersepError as error:
        return Finding("fluidsynth", "missing", f"hiersep render does not work: {error}")
    return Finding("fluidsynth", "ok", f"{version}: hiersep render")


def _extra(name: str, package: str, serves: str, lacking: str) -> Finding:
    """Look for the package of an extra of hiersep's, which is called as the finding."""
    try:
        return Finding(name, "ok", f"{package} {metadata.version(package)}: {serves}")
    except metadata.PackageNotFoundError:
        return Finding(name, "missing", f'{lacking}; pip install "hiersep[{name}]"')


def _cache() -> Finding:
    from hiersep.data.cache import cache_folder
    from hiersep.files import make_folder, size_text

    place = cache_folder()
    make_folder(place)
    return Finding("cache", "ok", f"{place}, {size_text(shutil.disk_usage(place).free)} free on its disk")


def _networks() -> Finding:
    from hiersep.models.locating import list_pretrained

    names = list_pretrained()
    if not names:
        return Finding("networks", "missing", "none is shipped; name checkpoints of your own")
    return Finding("networks", "ok", ", ".join(names))


def _separation() -> Finding:
    """Take noise apart with a shipped network, and see that what comes out is finite and no louder than it may be."""
    import numpy as np

    from hiersep.models.loading import load_separator
    from hiersep.separation import Passage

    passage = Passage(load_separator("tree"))
    mixture = 0.1 * np.random.default_rng(0).standard_normal((1, 10 * 16000)).astype(np.float32)
    started = time.perf_counter()
    estimates = passage.whole(mixture, 16000)
    seconds = time.perf_counter() - started
    if not np.isfinite(estimates).all() or np.abs(estimates).max() > 10 * np.abs(mixture).max():
        return Finding("separation", "broken", "the network's output is no sound; reinstall torch")
    return Finding("separation", "ok", f"10 s by the network tree in {seconds:.1f} s on {passage.device}")
