"""SI-SDR against its definition, and against the tools of the field."""

import numpy as np
import pytest
import torch
from helpers import noise, tone
from hypothesis import given, settings
from hypothesis import strategies as st

from hiersep.compat import nussl
from hiersep.metrics import rms_db, si_sdr


def waves(samples):
    return torch.from_numpy(np.asarray(samples, np.float32))


@pytest.mark.parametrize("decibels", [-30.0, -6.0, 0.0, 6.0, 30.0])
def test_two_orthogonal_signals_have_a_closed_form(decibels):
    # Whole periods of two frequencies: zero mean, orthogonal, equal power. So the ratio is the gains' ratio.
    reference, other = tone(0.5, hz=400), tone(0.5, hz=1000)
    estimate = reference + 10 ** (-decibels / 20) * other
    assert si_sdr(waves(estimate), waves(reference)).item() == pytest.approx(decibels, abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.sampled_from([1, -1]), st.floats(-0.5, 0.5))
def test_gain_sign_and_offset_of_either_signal_change_nothing(gain, other_gain, sign, offset):
    reference = noise(0.1, seed=1)
    estimate = reference + noise(0.1, db=-30, seed=2)
    plain = si_sdr(waves(estimate), waves(reference)).item()
    moved = si_sdr(waves(sign * gain * (estimate + offset)), waves(other_gain * (reference - offset))).item()
    assert moved == pytest.approx(plain, abs=1e-2)


@pytest.mark.parametrize("error_db", [-40, -10, 0, 20])
@pytest.mark.parametrize("bias", [0.0, 0.1])
def test_it_equals_torchmetrics(error_db, bias):
    from torchmetrics.functional import scale_invariant_signal_distortion_ratio

    reference = waves(noise(0.5, seed=3)) + bias
    estimate = 0.7 * reference + waves(noise(0.5, db=-20 + error_db, seed=4)) - 2 * bias
    expected = scale_invariant_signal_distortion_ratio(estimate, reference, zero_mean=True)
    assert si_sdr(estimate, reference).item() == pytest.approx(expected.item(), abs=1e-3)


@pytest.mark.adapters
@pytest.mark.parametrize("error_db", [-40, -10, 0])
def test_it_equals_nussls_evaluation_of_one_level_at_a_time(error_db):
    """nussl takes the mixture as the sum of the references: the level and the remainder, given together."""
    level, remainder = noise(0.5, seed=5), noise(0.5, seed=6, db=-14)
    error = noise(0.5, db=-20 + error_db, seed=7)
    signals = [nussl.AudioSignal(audio_data_array=a, sample_rate=16000) for a in (level, remainder)]
    estimates = [nussl.AudioSignal(audio_data_array=a, sample_rate=16000) for a in (level + error, remainder - error)]
    for name, signal in zip(("level", "remainder"), signals, strict=True):
        signal.path_to_input_file = name
    scores = nussl.evaluation.BSSEvalScale(signals, estimates, source_labels=["level", "remainder"]).evaluate()
    (expected,) = scores["level"]["SI-SDR"]
    assert si_sdr(waves(level + error), waves(level)).item() == pytest.approx(expected, abs=1e-3)


def test_a_silent_reference_has_no_score_and_spoils_no_other():
    references = waves(np.stack([tone(0.1), 0 * tone(0.1), 0 * tone(0.1) + 0.3]))
    estimates = references + waves(noise(0.1, db=-40))
    scores = si_sdr(estimates, references)
    assert scores.shape == (3,)
    assert torch.isfinite(scores[0])
    assert scores[1:].isnan().all()


def test_a_silent_estimate_scores_worse_than_any_other():
    # 0/0 must not become 0 dB: that would lift whoever gives up above every mixture with a negative score.
    reference = waves(tone(0.1))
    assert si_sdr(torch.zeros_like(reference), reference) <= -100
    assert si_sdr(torch.full_like(reference, 0.25), reference) <= -60


def test_a_broken_estimate_is_not_taken_for_a_silent_one():
    reference = waves(tone(0.1))
    assert si_sdr(reference * torch.nan, reference).isnan()


def test_an_exact_estimate_is_bounded_by_float_precision():
    score = si_sdr(waves(tone(0.1)), waves(tone(0.1)))
    assert torch.isfinite(score)
    assert score >= 100


def test_channels_are_scored_together_as_one_long_vector():
    reference = np.concatenate([tone(0.1, hz=400), tone(0.1, hz=1000, db=-30)])
    estimate = reference + np.concatenate([tone(0.1, hz=1000, db=-40), tone(0.1, hz=400, db=-40)])
    together = 10 * np.log10((1e-2 + 1e-3) / (1e-4 + 1e-4))
    assert si_sdr(waves(estimate), waves(reference)).item() == pytest.approx(together, abs=1e-3)


def test_batch_axes_are_kept(rng):
    references = waves(rng.standard_normal((2, 3, 1, 100)))
    estimates = references + waves(rng.standard_normal((2, 3, 1, 100)))
    scores = si_sdr(estimates, references)
    assert scores.shape == (2, 3)
    torch.testing.assert_close(scores[1, 2], si_sdr(estimates[1, 2], references[1, 2]))


def test_rms_is_in_decibels_below_full_scale():
    levels = rms_db(waves(np.stack([tone(0.5, db=-30), tone(0.5, db=-3), 0 * tone(0.5)])))
    assert levels.tolist() == pytest.approx([-30, -3, -np.inf], abs=1e-3)
