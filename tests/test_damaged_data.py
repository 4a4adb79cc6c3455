"""A training on a data set of which some stems are damaged goes to its end and names each damage once."""

import warnings

import numpy as np
from helpers import BASS, DRUMS, ELECTRIC_GUITAR, PIANO, noise, tone, write_audio, write_slakh

from hiersep import train
from hiersep.config import DataConfig, ExperimentConfig, NetworkConfig, SpectrumConfig, TrainingConfig
from hiersep.data.catalog import index_dataset
from hiersep.training.callbacks import ShowProgress

RATE = 16000
DURATION = 4.0


def write_songs(folder):
    """Twenty songs of seven stems each: 140 stems, of which seven will be damaged."""
    names = [f"train/Track{n:05d}" for n in range(1, 17)] + [f"validation/Track{n:05d}" for n in range(17, 21)]
    rng = np.random.default_rng(0)
    pitched = (ELECTRIC_GUITAR, ELECTRIC_GUITAR, PIANO, PIANO, BASS)
    songs = {
        name: [(kind, tone(DURATION, hz=float(rng.uniform(80, 2000)))) for kind in pitched]
        + [(DRUMS, noise(DURATION, seed=number)), (BASS, noise(DURATION, seed=100 + number))]
        for number, name in enumerate(names)
    }
    return write_slakh(folder, songs)


def damage(folder):
    """Damage a stem in each of six training songs; give the files."""
    files = [folder / f"train/Track{n:05d}/stems/S02.wav" for n in range(1, 7)]
    truncated, empty, broken, slow, short, text = files
    flac = write_audio(truncated.with_suffix(".flac"), noise(DURATION))
    truncated.unlink()
    flac.write_bytes(flac.read_bytes()[: flac.stat().st_size // 2])
    empty.write_bytes(b"")
    write_audio(broken, np.full((1, RATE), np.nan))
    write_audio(slow, tone(DURATION, rate=8000), 8000)
    write_audio(short, tone(DURATION / 2))
    text.write_text("not audio at all")
    return [flac, empty, broken, slow, short, text]


def test_training_goes_to_its_end_and_each_damage_is_named_once(tmp_path, monkeypatch):
    folder = write_songs(tmp_path / "data")
    damaged = damage(folder)
    removed = folder / "train/Track00008/stems/S03.wav"
    config = ExperimentConfig(
        data=DataConfig(folder=str(folder), duration=1.0, num_train=64, num_validation=4),
        spectrum=SpectrumConfig(n_fft=256, hop_length=128),
        network=NetworkConfig(hidden_size=4, num_layers=1, dropout=0.0),
        training=TrainingConfig(batch_size=8, max_epochs=2, num_workers=0, device="cpu"),
    )
    before = ShowProgress.on_train_start

    def remove(self, *arguments):
        removed.unlink()
        before(self, *arguments)

    monkeypatch.setattr(ShowProgress, "on_train_start", remove)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _, report = index_dataset(folder, jobs=1)
        assert train(config, tmp_path / "exp").exists()
    findings = [finding.text for finding in report.findings]
    for path in damaged:
        assert sum(str(path) in text for text in findings) == 1, path
    assert len(findings) == len(damaged)
    assert report.counts() == {"left out": 4, "shorter": 1, "resampled": 1}
    assert sum(str(removed) in str(warning.message) for warning in caught) == 1
