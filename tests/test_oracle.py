"""Masks that know the answer, and the best filter that knows nothing of time."""

import numpy as np
import pytest
import torch
from helpers import noise, tone
from hypothesis import given, settings
from hypothesis import strategies as st

from hiersep.errors import DataError
from hiersep.metrics import snr
from hiersep.models.oracle import ORACLES, fit_static_masks, ideal_ratio_mask, phase_sensitive_mask
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


# Rows of stems that a node holds, for any set of nodes: siblings, cousins, a leaf beside its grandparent.
memberships = st.integers(2, 5).flatmap(
    lambda stems: st.lists(
        st.lists(st.booleans(), min_size=stems, max_size=stems).filter(lambda row: any(row) and not all(row)),
        min_size=1,
        max_size=4,
    )
)


def any_nodes(membership, seed):
    """Waveforms of a mixture (1, channel, time) and of the nodes that a membership matrix makes of random stems."""
    rng = np.random.default_rng(seed)
    rows = np.array(membership, float)
    envelopes = 10 ** rng.uniform(-2, 0, (rows.shape[1], 1, 20)).repeat(100, axis=2)
    stems = rng.standard_normal((rows.shape[1], 1, 2000)) * envelopes
    return waves(stems.sum(0)[None]), waves(np.einsum("ns,sct->nct", rows, stems)[None])


@settings(max_examples=25, derandomize=True)
@given(memberships, st.integers(0, 999))
def test_for_any_nodes_no_mask_beats_the_phase_sensitive_one_and_on_waveforms_hardly(membership, seed):
    mixture, nodes = any_nodes(membership, seed)
    x, s = TRANSFORM(mixture), TRANSFORM(nodes)
    masks = {name: oracle(x, s) for name, oracle in ORACLES.items()}
    masks["static"] = fit_static_masks([(mixture, nodes)], TRANSFORM).expand_as(s)
    errors_of = {name: errors(mask, x, s).sum((0, 2, 3, 4)) for name, mask in masks.items()}
    for other in ("ideal_ratio", "static"):
        assert (errors_of["phase_sensitive"] <= errors_of[other] * (1 + 1e-5)).all()
    scores = {name: snr(TRANSFORM.inverse(mask * x[:, None], 2000), nodes) for name, mask in masks.items()}
    for other in ("ideal_ratio", "static"):  # frames overlap: what is best in every bin need not be in every sample
        assert (scores["phase_sensitive"] > scores[other] - 0.5).all()


@settings(max_examples=25)
@given(memberships, st.integers(0, 999), st.floats(-2, 3), st.randoms(use_true_random=False))
def test_a_node_and_its_remainder_share_every_bin_whatever_the_loudness_and_the_other_nodes(
    membership, seed, exponent, random
):
    mixture, nodes = any_nodes(membership, seed)
    x, s = TRANSFORM(mixture), TRANSFORM(nodes)
    order = random.sample(range(s.shape[1]), s.shape[1])
    for oracle in ORACLES.values():
        mask = oracle(x, s)
        torch.testing.assert_close(mask + oracle(x, x[:, None] - s), torch.ones_like(mask), atol=1e-4, rtol=0)
        torch.testing.assert_close(oracle(10**exponent * x, 10**exponent * s), mask, atol=1e-4, rtol=0)
        assert torch.equal(oracle(x, s[:, order]), mask[:, order])
        assert torch.equal(oracle(x, s[:, :1]), mask[:, :1])


def test_the_static_mask_is_fitted_on_what_is_known(rng):
    parts = waves(rng.standard_normal((2, 4, 1, 1500)))
    mixture, nodes = parts.sum(0), torch.stack([parts[0], parts[1], parts[0]], dim=1)
    known = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 1, 0]], dtype=torch.bool)
    broken = torch.where(known[..., None, None], nodes, torch.nan)
    found = fit_static_masks([(mixture[:2], broken[:2], known[:2]), (mixture[2:], broken[2:], known[2:])], TRANSFORM)
    for node in (0, 1):
        kept = known[:, node]
        alone = fit_static_masks([(mixture[kept], nodes[kept][:, [node]])], TRANSFORM)
        torch.testing.assert_close(found[[node]], alone)
    assert found[2].isnan().all()


def test_static_masks_of_nothing_are_an_error():
    with pytest.raises(DataError, match="expected training clips"):
        fit_static_masks([], TRANSFORM)
