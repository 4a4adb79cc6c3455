"""Masks that know the answer, and the best filter that knows nothing of time."""

import numpy as np
import pytest
import torch
from helpers import noise, tone

from hiersep.models.oracle import fit_static_masks, ideal_ratio_mask, phase_sensitive_mask
from hiersep.stft import STFT

RATE = 16000
TRANSFORM = STFT(256, 128)


def waves(samples):
    return torch.from_numpy(np.asarray(samples, np.float32))


@pytest.fixture
def spectra(rng):
    """Mixture (batch, channel, freq, frame) and two nodes of a path in it, overlapping in time and frequency."""
    parts = waves(rng.standard_normal((3, 2, 1, 2000)))
    parts[0] += waves(tone(2000 / RATE))
    nodes = torch.stack([parts[0] + parts[1], parts[0]], dim=1)
    return TRANSFORM(parts.sum(0)), TRANSFORM(nodes)


def errors(mask, mixture, nodes):
    return (mask * mixture[:, None] - nodes).abs().square()


def test_the_phase_sensitive_mask_is_the_best_of_all_masks_in_every_bin(spectra):
    mixture, nodes = spectra
    best = errors(phase_sensitive_mask(mixture, nodes), mixture, nodes)
    generator = torch.Generator().manual_seed(0)
    others = [torch.rand(nodes.shape, generator=generator) for _ in range(50)]
    others += [torch.zeros(nodes.shape), torch.ones(nodes.shape), ideal_ratio_mask(mixture, nodes)]
    for other in others:
        assert (best <= errors(other, mixture, nodes) * (1 + 1e-4) + 1e-6).all()


def test_the_phase_sensitive_mask_beats_the_ratio_mask_over_all(spectra):
    mixture, nodes = spectra
    ratio = errors(ideal_ratio_mask(mixture, nodes), mixture, nodes).sum((0, 2, 3, 4))
    best = errors(phase_sensitive_mask(mixture, nodes), mixture, nodes).sum((0, 2, 3, 4))
    assert (best < 0.9 * ratio).all()


def test_masks_have_closed_forms_on_single_bins():
    mixture = torch.tensor([4.0, 4.0, 4.0, 4.0j, 0.0], dtype=torch.complex64).view(1, 1, 5, 1)
    node = torch.tensor([3.0, -2.0, 8.0, 2.0 + 2.0j, 0.0], dtype=torch.complex64).view(1, 1, 1, 5, 1)
    # |S| cos / |X|: 3/4; negative, so 0; 2, so 1; the quadrature part counts for nothing; silence is 0.
    assert phase_sensitive_mask(mixture, node).flatten().tolist() == pytest.approx([0.75, 0, 1, 0.5, 0])
    # |S| / (|S| + |X - S|): 3/4; 2/8; 8/12; equal halves; silence is 0.
    assert ideal_ratio_mask(mixture, node).flatten().tolist() == pytest.approx([0.75, 0.25, 2 / 3, 0.5, 0])


def test_masks_lie_between_zero_and_one_and_are_finite_on_silence(spectra):
    mixture, nodes = spectra
    for mask in (ideal_ratio_mask, phase_sensitive_mask):
        for loudness in (1.0, 0.0):
            values = mask(mixture * loudness, nodes * loudness)
            assert values.shape == nodes.shape
            assert values.min() >= 0
            assert values.max() <= 1


def test_the_static_mask_recovers_a_known_filter():
    # A steady tone far below the other: a gain per frequency takes them apart whatever the time.
    low, high = waves(tone(1.0, hz=500)), waves(tone(1.0, hz=6000))
    mixture = (low + high)[None]
    gains = fit_static_masks([(mixture, torch.stack([low + high, low])[None])], TRANSFORM)
    assert gains.shape == (2, 1, 129, 1)
    bins = {hz: round(hz * 256 / RATE) for hz in (500, 6000)}
    assert gains[0].flatten()[[bins[500], bins[6000]]].tolist() == pytest.approx([1, 1], abs=1e-3)
    assert gains[1].flatten()[[bins[500], bins[6000]]].tolist() == pytest.approx([1, 0], abs=1e-3)


def test_the_static_mask_is_the_least_squares_fit_over_all_batches_clips_channels_and_frames(rng):
    batches = []
    for _ in range(3):
        parts = rng.standard_normal((3, 2, 2, 1500)) * np.array([1.0, 0.5, 2.0]).reshape(3, 1, 1, 1)
        nodes = np.stack([parts[0] + parts[1], parts[0]], axis=1)
        batches.append((waves(parts.sum(0)), waves(nodes)))
    gains = fit_static_masks(batches, TRANSFORM)[:, 0, :, 0].numpy()
    reference = np.concatenate([TRANSFORM(m).numpy() for m, _ in batches])  # (clip, channel, freq, frame)
    wanted = np.concatenate([TRANSFORM(s).numpy() for _, s in batches])  # (clip, node, channel, freq, frame)
    for node in range(2):
        for frequency in (0, 1, 40, 100, 128):
            x, s = reference[:, :, frequency].ravel(), wanted[:, node, :, frequency].ravel()
            a, b = np.concatenate([x.real, x.imag])[:, None], np.concatenate([s.real, s.imag])
            (gain,), *_ = np.linalg.lstsq(a.astype(np.float64), b.astype(np.float64), rcond=None)
            assert gains[node, frequency] == pytest.approx(gain, abs=1e-4)


def test_static_gains_stay_between_zero_and_one():
    inverted, louder = waves(-noise(0.3)), waves(3 * noise(0.3))
    mixture = waves(noise(0.3))[None]
    gains = fit_static_masks([(mixture, torch.stack([louder, inverted])[None])], TRANSFORM)
    assert gains[0].unique().tolist() == [1.0]
    assert gains[1].unique().tolist() == [0.0]
