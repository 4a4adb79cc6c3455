"""What the tests share: sounds of known level, miniature data sets written without hiersep, and a small experiment."""

from __future__ import annotations

import base64
import html.parser
import io
import struct
from pathlib import Path

import numpy as np
import soundfile
import yaml

from hiersep.config import DataConfig, ExperimentConfig, NetworkConfig, SpectrumConfig, TrainingConfig

RATE = 16000

# Slakh's programs by what slakh_ismir2020 makes of them.
ACOUSTIC_GUITAR, ELECTRIC_GUITAR, DISTORTED_GUITAR, PIANO, ORGAN, BASS, DRUMS, WHISTLE = 24, 27, 30, 0, 16, 33, 128, 126


def tone(seconds, *, hz=440.0, db=-20.0, rate=RATE, channels=1):
    """A sine whose mean square is `db` decibels below full scale; shape (channel, time)."""
    time = np.arange(round(seconds * rate)) / rate
    return np.tile(np.sqrt(2) * 10 ** (db / 20) * np.sin(2 * np.pi * hz * time), (channels, 1))


def noise(seconds, *, db=-20.0, rate=RATE, channels=1, seed=0):
    """White noise, different in each channel, whose mean square is `db` decibels below full scale (on average)."""
    samples = np.random.default_rng(seed).standard_normal((channels, round(seconds * rate)))
    return 10 ** (db / 20) * samples


def bursts(seconds, sounding, *, db=-20.0, hz=440.0, rate=RATE):
    """A sine that sounds only between the pairs of seconds in `sounding`."""
    samples = tone(seconds, hz=hz, db=db, rate=rate)
    audible = np.zeros(samples.shape[1], bool)
    for begin, end in sounding:
        audible[round(begin * rate) : round(end * rate)] = True
    return samples * audible


def level_db(samples):
    """Mean square in decibels."""
    power = np.mean(np.square(np.asarray(samples, np.float64)))
    return 10 * np.log10(power) if power else -np.inf


def error_db(estimate, truth):
    """Power of the difference, relative to the power of the truth, in decibels."""
    truth = np.asarray(truth, np.float64)
    return level_db(np.asarray(estimate, np.float64) - truth) - level_db(truth)


def write_audio(path, samples, rate=RATE, subtype=None):
    """Write (channel, time) samples as floats where the format can hold them, so that nothing is rounded."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.atleast_2d(samples).T, rate, subtype or ("FLOAT" if path.suffix == ".wav" else "PCM_24"))
    return path


def read_audio(path):
    """Samples (channel, time) in double precision."""
    samples, _ = soundfile.read(path, dtype="float64", always_2d=True)
    return samples.T


def write_slakh(folder, tracks, *, rate=RATE, suffix=".wav"):
    """Write a data set in Slakh's layout.

    Args:
        folder: Where to.
        tracks: ``{"train/Track00001": [(program, samples), ...]}``, samples (channel, time) at `rate`; None for a
            stem that Slakh did not render.
        rate: In Hz.
        suffix: ``.wav`` or ``.flac``.
    """
    for name, stems in tracks.items():
        track = Path(folder) / name
        listed = {}
        for number, (program, samples) in enumerate(stems):
            listed[f"S{number:02d}"] = {
                "audio_rendered": samples is not None,
                "inst_class": "Whatever",
                "integrated_loudness": -13.0,
                "is_drum": program == DRUMS,
                "midi_program_name": f"program {program}",
                "midi_saved": True,
                "plugin_name": "none.nkm",
                "program_num": program,
            }
            if samples is not None:
                write_audio(track / "stems" / f"S{number:02d}{suffix}", samples, rate)
        track.mkdir(parents=True, exist_ok=True)
        metadata = {"UUID": "0" * 32, "audio_dir": "stems", "overall_gain": 1.0, "stems": listed}
        (track / "metadata.yaml").write_text(yaml.safe_dump(metadata), encoding="utf-8")
    return Path(folder)


def write_folder(folder, songs, *, rate=RATE, suffix=".wav"):
    """Write one folder per song: ``{"train/song": {"vocals": samples, ...}}``."""
    for name, stems in songs.items():
        for stem, samples in stems.items():
            write_audio(Path(folder) / name / f"{stem}{suffix}", samples, rate)
    return Path(folder)


class Page(html.parser.HTMLParser):
    """Collects tags with their attributes, the text that is shown, and the sounds."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.sounds, self._inside = [], "", [], {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self._inside = {"tag": tag, **dict(attributes)}
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        self._inside = {}

    def handle_data(self, data):
        if "data-scale" in self._inside:
            samples, _ = soundfile.read(io.BytesIO(base64.b64decode(data)), always_2d=True)
            self.sounds.append(samples.T * float(self._inside["data-scale"]))
        elif self._inside.get("tag") not in ("script", "style"):
            self.text += data

    def lanes(self):
        """Attributes of the lanes of a report, by node."""
        return {a["data-node"]: a for tag, a in self.tags if "lane" in (a.get("class") or "").split()}


def read_page(path):
    """Take a page apart."""
    return Page(path.read_text(encoding="utf-8"))


def write_soundfont(path, name, makers=""):
    """Write a copy of pretty_midi's soundfont that says another name, and other makers, of itself."""
    from hiersep.render import find_soundfonts

    content = find_soundfonts()[0].read_bytes()
    info_size = struct.unpack("<I", content[16:20])[0]
    texts = b""
    for key, text in (("INAM", name), ("IENG", makers)):
        text = text.encode() + b"\0" * (2 - len(text) % 2)  # even lengths alone are allowed
        texts += key.encode() + struct.pack("<I", len(text)) + text
    info = b"INFO" + content[24:36] + texts  # with the version
    body = b"sfbkLIST" + struct.pack("<I", len(info)) + info + content[20 + info_size :]
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def small_experiment(data, rate, *, num_train, dropout=0.0, **training):
    """A path of three levels that a processor learns in seconds."""
    return ExperimentConfig(
        data=DataConfig(
            folder=str(data),
            target="clean_guitars",
            duration=0.5,
            sample_rate=rate,
            num_train=num_train,
            num_validation=2,
        ),
        spectrum=SpectrumConfig(n_fft=256, hop_length=128),
        network=NetworkConfig(hidden_size=4, num_layers=1, dropout=dropout),
        training=TrainingConfig(
            **{"batch_size": 2, "max_epochs": 2, "num_workers": 0, "device": "cpu", "tensorboard": False, **training}
        ),
    )
