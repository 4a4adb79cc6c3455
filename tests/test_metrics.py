"""Scores of an estimate against their definitions, and against the tools of the field."""

import numpy as np
import pytest
import torch
from helpers import noise, tone
from hypothesis import given, settings
from hypothesis import strategies as st

from hiersep.compat import nussl
from hiersep.metrics import (
    BatchScores,
    improvement,
    is_silent,
    relative_level_db,
    rms_db,
    score_batch,
    score_track,
    si_sdr,
    snr,
    track_sdr,
)


def waves(samples):
    return torch.from_numpy(np.asarray(samples, np.float32))


@pytest.mark.parametrize("decibels", [-30.0, -6.0, 0.0, 6.0, 30.0])
def test_two_orthogonal_signals_have_a_closed_form(decibels):
    # Whole periods of two frequencies: zero mean, orthogonal, equal power. So the ratio is the gains' ratio.
    reference, other = tone(0.5, hz=400), tone(0.5, hz=1000)
    estimate = reference + 10 ** (-decibels / 20) * other
    assert si_sdr(waves(estimate), waves(reference)).item() == pytest.approx(decibels, abs=1e-3)


@pytest.mark.parametrize("decibels", [-30.0, -6.0, 0.0, 6.0, 30.0])
def test_snr_has_a_closed_form_and_judges_the_gain(decibels):
    reference, other = waves(tone(0.5, hz=400)), waves(tone(0.5, hz=1000))
    share = 10 ** (-decibels / 20)
    assert snr(reference + share * other + 0.3, reference - 0.2).item() == pytest.approx(decibels, abs=1e-3)
    assert snr((1 + share) * reference, reference).item() == pytest.approx(decibels, abs=1e-3)
    # The gain's error and the other tone add up: SNR is below SI-SDR, by what the gain costs.
    moved = 0.5 * (reference + share * other)
    assert snr(moved, reference).item() == pytest.approx(-10 * np.log10(0.25 + 0.25 * share**2), abs=1e-3)
    assert si_sdr(moved, reference).item() == pytest.approx(decibels, abs=1e-3)


@settings(max_examples=30)
@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.sampled_from([1, -1]), st.floats(-0.5, 0.5))
def test_gain_sign_and_offset_of_either_signal_change_nothing(gain, other_gain, sign, offset):
    reference = noise(0.1, seed=1)
    estimate = reference + noise(0.1, db=-30, seed=2)
    plain = si_sdr(waves(estimate), waves(reference)).item()
    moved = si_sdr(waves(sign * gain * (estimate + offset)), waves(other_gain * (reference - offset))).item()
    assert moved == pytest.approx(plain, abs=1e-2)


@pytest.mark.parametrize("error_db", [-40, -10, 0, 20])
@pytest.mark.parametrize("bias", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_they_equal_torchmetrics(error_db, bias, dtype):
    from torchmetrics.functional import scale_invariant_signal_distortion_ratio, signal_noise_ratio

    reference = torch.stack([waves(noise(0.5, seed=seed)) for seed in (3, 5)]).to(dtype) + bias  # (batch, 1, time)
    error = torch.stack([waves(noise(0.5, db=-20 + error_db, seed=seed)) for seed in (4, 6)]).to(dtype)
    estimate = 0.7 * reference + error - 2 * bias
    expected = scale_invariant_signal_distortion_ratio(estimate, reference, zero_mean=True)[:, 0]
    torch.testing.assert_close(si_sdr(estimate, reference), expected, atol=1e-3, rtol=0)
    expected = signal_noise_ratio(estimate, reference, zero_mean=True)[:, 0]
    torch.testing.assert_close(snr(estimate, reference), expected, atol=1e-3, rtol=0)


@pytest.mark.adapters
@pytest.mark.parametrize("error_db", [-40, -10, 0])
def test_they_equal_nussls_evaluation_of_one_level_at_a_time(error_db):
    """nussl takes the mixture as the sum of the references: the level and the remainder, given together."""
    level, remainder = noise(0.5, seed=5), noise(0.5, seed=6, db=-14)
    error = noise(0.5, db=-20 + error_db, seed=7)
    signals = [nussl.AudioSignal(audio_data_array=a, sample_rate=16000) for a in (level, remainder)]
    estimates = [nussl.AudioSignal(audio_data_array=a, sample_rate=16000) for a in (level + error, remainder - error)]
    for name, signal in zip(("level", "remainder"), signals, strict=True):
        signal.path_to_input_file = name
    scores = nussl.evaluation.BSSEvalScale(signals, estimates, source_labels=["level", "remainder"]).evaluate()
    estimate, reference, mixture = waves(level + error), waves(level), waves(level + remainder)
    ours = {
        "SI-SDR": si_sdr(estimate, reference),
        "SNR": snr(estimate, reference),
        "SI-SDRi": improvement(si_sdr, estimate[None], reference[None], mixture),
        "SNRi": improvement(snr, estimate[None], reference[None], mixture),
        "MIX-SI-SDR": si_sdr(mixture, reference),
        "MIX-SNR": snr(mixture, reference),
    }
    for name, value in ours.items():
        assert value.item() == pytest.approx(*scores["level"][name], abs=1e-3), name


def test_a_silent_reference_has_no_score_and_spoils_no_other():
    references = waves(np.stack([tone(0.1), 0 * tone(0.1), 0 * tone(0.1) + 0.3]))
    estimates = references + waves(noise(0.1, db=-40))
    scores = si_sdr(estimates, references)
    assert scores.shape == (3,)
    assert torch.isfinite(scores[0])
    assert scores[1:].isnan().all()
    assert snr(estimates, references).isnan().tolist() == [False, True, True]


@pytest.mark.parametrize("seconds", [0.1, 10])
@pytest.mark.parametrize("offset", [0.05, 0.1, 0.7])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_mere_offset_has_no_score_however_long_and_is_silent_in_a_batch(seconds, offset, channels):
    rest = waves(noise(seconds, channels=channels))[None]
    references = torch.full((1, 1, *rest.shape[1:]), offset)
    references[..., -1, :] *= -1
    for metric in (si_sdr, snr):
        assert metric(references + 0.1 * rest, references).isnan().all()
    counts = score_batch(references + 0.1 * rest, references, rest + references[:, 0]).counts()
    assert {name: count.item() for name, count in counts.items()} == {"scored": 0, "silent": 1, "all_target": 0}
    heard = references + waves(tone(seconds, db=-90, channels=channels))  # is no mere offset
    assert si_sdr(heard, heard) > 60


def test_a_silent_estimate_scores_worse_than_any_other():
    # 0/0 must not become 0 dB: that would lift whoever gives up above every mixture with a negative score.
    reference = waves(tone(0.1))
    assert si_sdr(torch.zeros_like(reference), reference) <= -100
    assert si_sdr(torch.full_like(reference, 0.25), reference) <= -60
    assert snr(torch.zeros_like(reference), reference) == 0


def test_a_broken_estimate_is_not_taken_for_a_silent_one():
    reference = waves(tone(0.1))
    assert si_sdr(reference * torch.nan, reference).isnan()
    assert snr(reference * torch.nan, reference).isnan()


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


def test_a_signal_is_scored_as_if_it_were_alone():
    """Whatever stands beside it: silence, a mere offset, what is far louder or far softer."""
    sound, error = waves(noise(0.1, seed=1)), waves(noise(0.1, db=-30, seed=2))
    signals = torch.stack([sound, 1e4 * sound, 1e-4 * sound, 0 * sound, 0 * sound + 0.3, sound + 5])
    pairs = torch.cartesian_prod(torch.arange(6), torch.arange(6))
    errors = torch.stack([error, 0 * error])[pairs[:, 1] % 2]
    references, estimates = signals[pairs[:, 0]], signals[pairs[:, 1]] + errors
    for metric in (si_sdr, snr):
        alone = torch.stack([metric(*pair) for pair in zip(estimates, references, strict=True)])
        torch.testing.assert_close(metric(estimates, references), alone, equal_nan=True, rtol=1e-5, atol=1e-3)
    for metric in (relative_level_db, is_silent):
        alone = torch.stack([metric(*pair) for pair in zip(estimates[:, None], references, strict=True)])
        torch.testing.assert_close(metric(estimates[:, None], references), alone, equal_nan=True)


def test_rms_is_in_decibels_below_full_scale():
    levels = rms_db(waves(np.stack([tone(0.5, db=-30), tone(0.5, db=-3), 0 * tone(0.5)])))
    assert levels.tolist() == pytest.approx([-30, -3, -np.inf], abs=1e-3)


def test_the_improvement_is_over_the_mixture_taken_for_every_node():
    # Three orthogonal tones; levels of the path: a + b and a. The estimate of each has an error of -20 dB.
    a, b, c, error = (waves(tone(0.5, hz=hz)) for hz in (400, 1000, 1600, 2000))
    mixture, references = (a + b + c)[None], torch.stack([a + b, a])[None]
    gains = improvement(si_sdr, references + 0.1 * error, references, mixture)
    # In units of a tone's power: mixture 2:1 and 1:2, estimates 2:0.01 and 1:0.01.
    assert gains.flatten().tolist() == pytest.approx([20, 10 * np.log10(100 * 2)], abs=1e-3)
    assert improvement(snr, mixture[:, None].expand_as(references), references, mixture).tolist() == [[0, 0]]


def test_the_level_of_an_output_is_relative_to_its_own_mixture():
    mixture = waves(np.stack([tone(0.5, db=-10), tone(0.5, db=-30), 0 * tone(0.5)]))
    outputs = waves(np.stack([tone(0.5, db=-40), 0 * tone(0.5)]))[None].expand(3, 2, 1, -1)
    levels = relative_level_db(outputs, mixture)
    torch.testing.assert_close(
        levels, torch.tensor([[-30, -120], [-10, -120], [120, torch.nan]]), atol=1e-3, rtol=0, equal_nan=True
    )


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_what_is_not_finite_is_not_silent_and_silence_in_silence_is(broken):
    signals = waves(np.stack([tone(0.1), tone(0.1, db=-81), 0 * tone(0.1), 0 * tone(0.1)]))
    signals[3, 0, 50] = broken
    for mixture, expected in ((tone(0.1), [False, True, True, False]), (0 * tone(0.1), [False, False, True, False])):
        assert is_silent(signals, waves(mixture)).tolist() == expected
    assert not is_silent(signals, waves(torch.nan * tone(0.1))).any()


# --- a batch, and what is apart


@pytest.fixture
def clips():
    """Estimates, references and mixtures of one node: something to separate, silence, all target."""
    target, rest, error = (waves(noise(0.2, seed=seed)) for seed in (1, 2, 3))
    references = torch.stack([target, 0 * target, target])[:, None]
    mixture = torch.stack([target + rest, rest, target + 0.01 * rest])
    return references + 0.1 * error, references, mixture


def test_every_score_is_averaged_over_the_clips_that_count_for_it(clips):
    estimates, references, mixture = clips
    scores = score_batch(*clips)
    assert torch.cat([scores.scored, scores.silent, scores.all_target], dim=1).int().tolist() == torch.eye(3).tolist()
    assert {name: count.item() for name, count in scores.counts().items()} == {
        "scored": 1,
        "silent": 1,
        "all_target": 1,
    }
    expected = {
        "si_sdr": si_sdr(estimates[0], references[0]),
        "si_sdri": improvement(si_sdr, estimates[0], references[0], mixture[0]),
        "snr": snr(estimates[0], references[0]),
        "snri": improvement(snr, estimates[0], references[0], mixture[0]),
        "silent_level": relative_level_db(estimates[1], mixture[1]),
        "all_target_si_sdr": si_sdr(estimates[2], references[2]),
    }
    assert scores.means().keys() == expected.keys()
    for name, mean in scores.means().items():
        torch.testing.assert_close(mean, expected[name])


def test_batches_are_joined_and_what_is_unknown_moves_no_mean(clips):
    scores = score_batch(*clips)
    unknown = score_batch(*clips, known=torch.zeros(3, 1, dtype=torch.bool))
    joined = BatchScores(*map(torch.cat, zip(scores, unknown, scores, strict=True)))
    assert {name: count.item() for name, count in joined.counts().items()} == {
        "scored": 2,
        "silent": 2,
        "all_target": 2,
    }
    for name, mean in joined.means().items():
        torch.testing.assert_close(mean, scores.means()[name])
    assert not any(count.any() for count in unknown.counts().values())
    assert all(mean.isnan().all() for mean in unknown.means().values())


def test_nodes_are_averaged_and_counted_each_for_itself(clips):
    """The second node is silent where the first is heard, and heard where it is silent."""
    estimates, references, mixture = clips
    turned = [1, 0, 2]
    joined = score_batch(
        torch.cat([estimates, estimates[turned]], dim=1), torch.cat([references, references[turned]], dim=1), mixture
    )
    apart = [score_batch(estimates[order], references[order], mixture) for order in ([0, 1, 2], turned)]
    for name, count in joined.counts().items():
        assert count.tolist() == [int(one.counts()[name]) for one in apart]
    for name, mean in joined.means().items():
        torch.testing.assert_close(mean, torch.cat([one.means()[name] for one in apart]), equal_nan=True)


def test_a_broken_estimate_is_not_left_out_of_the_mean(clips):
    estimates, references, mixture = clips
    means = score_batch(estimates * torch.tensor([torch.nan, 1, 1]).view(3, 1, 1, 1), references, mixture).means()
    assert means["si_sdr"].isnan().all()
    assert means["silent_level"].isfinite().all()


def test_a_broken_reference_or_mixture_does_not_count_as_silence(clips):
    estimates, references, mixture = clips
    broken = torch.tensor([torch.nan, 1, 1])
    for spoilt in ((references * broken.view(3, 1, 1, 1), mixture), (references, mixture * broken.view(3, 1, 1))):
        scores = score_batch(estimates, *spoilt)
        assert scores.silent.flatten().tolist() == [False, True, False]
        assert scores.means()["si_sdri"].isnan().all()


@pytest.mark.parametrize(("rest_db", "kind"), [(-49, "scored"), (-51, "all_target")])
def test_all_target_begins_at_a_mixture_of_30_db(rest_db, kind):
    target, rest = waves(tone(0.5, hz=400)), waves(tone(0.5, hz=1000, db=rest_db))
    scores = score_batch(target[None, None], target[None, None], (target + rest)[None])
    assert {name for name, count in scores.counts().items() if count.item()} == {kind}


@pytest.mark.parametrize("rest", [tone(0.5, hz=1000), 0 * tone(0.5) + 0.1], ids=["tone", "offset"])
@pytest.mark.parametrize(("target_db", "kind"), [(-79, None), (-81, "silent")])
def test_silence_begins_60_db_under_the_mixture(rest, target_db, kind):
    target = waves(tone(0.5, hz=400, db=target_db))
    scores = score_batch(target[None, None], target[None, None], (target + waves(rest))[None])
    # An offset is loud, and no distortion: where the target is not silent beside it, it is all there is.
    expected = kind or ("scored" if rest.std() > 1e-3 else "all_target")
    assert {name for name, count in scores.counts().items() if count.item()} == {expected}


def test_silence_in_silence_and_a_mere_offset_are_silent():
    silence = torch.zeros(1, 1, 1, 100)
    assert score_batch(silence, silence, silence[0]).counts()["silent"].item() == 1
    assert score_batch(silence, silence + 0.1, silence[0] + waves(noise(100 / 16000))).counts()["silent"].item() == 1


# --- whole songs, by museval

SONG_RATE = 2000


def song(seconds, *, seed, db=-20.0):
    return waves(noise(seconds, seed=seed, db=db, rate=SONG_RATE, channels=2))


@pytest.mark.adapters
def test_a_songs_sdr_is_the_median_over_seconds_of_the_snr():
    # Of museval's four ratios the SDR needs no filters: in each frame it is the plain SNR, the mean left in.
    references = torch.stack([song(5.5, seed=1), song(5.5, seed=2)])
    gains = torch.tensor([0.03, 0.1, 0.3, 1.0, 0.5, 9.0]).repeat_interleave(SONG_RATE)[: references.shape[-1]]
    errors = gains * torch.stack([song(5.5, seed=3), song(5.5, seed=4)])
    scores = score_track(references + errors, references, SONG_RATE)
    whole = slice(0, 5 * SONG_RATE)  # the last half second makes no frame
    energies = [x[..., whole].reshape(2, 2, 5, SONG_RATE).square().sum((1, 3)) for x in (references, errors)]
    expected = (10 * torch.log10(energies[0] / energies[1])).double().numpy()  # (node, frame)
    assert scores.sdr == pytest.approx(np.median(expected, axis=1), abs=1e-3)
    assert scores.frames.tolist() == [5, 5]
    assert np.isfinite([scores.isr, scores.sir, scores.sar]).all()


@pytest.mark.adapters
def test_a_song_scores_as_musevals_own_store_says():
    museval = nussl.evaluation.bss_eval.museval
    references = torch.stack([song(4, seed=1), song(4, seed=2)])
    references[1, :, SONG_RATE : 2 * SONG_RATE] = 0  # a silent second: no frame for either node
    estimates = references + torch.stack([song(4, seed=3, db=-35), song(4, seed=4, db=-30)])
    found = score_track(estimates, references, SONG_RATE)
    assert found.frames.tolist() == [3, 3]
    pair = [signals.numpy().swapaxes(1, 2) for signals in (references, estimates)]
    names = ("SDR", "ISR", "SIR", "SAR")
    framewise = dict(zip(names, museval.evaluate(*pair, SONG_RATE, SONG_RATE), strict=True))
    store = museval.aggregate.TrackStore("song", win=1, hop=1)
    for position, node in enumerate("ab"):
        store.add_target(node, {name: values[position].tolist() for name, values in framewise.items()})
    medians = store.df.groupby(["metric", "target"])["score"].median()
    for name in names:
        assert getattr(found, name.lower()) == pytest.approx(medians[name].tolist(), abs=1e-3), name


@pytest.mark.adapters
def test_a_node_that_is_silent_all_song_has_no_score_and_spoils_no_other():
    references = torch.stack([song(2, seed=1), 0 * song(2, seed=2), song(2, seed=3)])
    estimates = references + 0.1 * song(2, seed=4)
    estimates[2] = 0
    scores = score_track(estimates, references, SONG_RATE)
    alone = score_track(estimates[:1], references[:1], SONG_RATE)
    assert scores.sdr == pytest.approx([alone.sdr[0], np.nan, np.nan], nan_ok=True)
    assert scores.frames.tolist() == [2, 0, 0]
    nothing = score_track(0 * estimates, references, SONG_RATE)
    assert np.isnan(nothing.sdr).all()
    assert not nothing.frames.any()


@pytest.mark.adapters
def test_the_sdr_of_a_song_without_filters_is_musevals():
    references = torch.stack([song(4, seed=1), song(4, seed=2)])
    references[1, :, SONG_RATE : 2 * SONG_RATE] = 0
    mixture = references.sum(dim=0).expand_as(references)
    found = track_sdr(mixture, references, SONG_RATE)
    assert found.tolist() == pytest.approx(score_track(mixture, references, SONG_RATE).sdr.tolist(), abs=1e-3)
    assert track_sdr(mixture, 0 * references, SONG_RATE).isnan().all()
