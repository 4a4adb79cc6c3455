"""What training minimises: least at the truth, known in closed form, and blind to what is not known."""

import typing
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import bursts, noise, tone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hiersep.config import TrainingConfig
from hiersep.errors import ConfigError
from hiersep.losses import (
    LOSSES,
    l1_multi_resolution,
    mean_over_known,
    negative_si_sdr,
    negative_snr,
    phase_sensitive_l1,
)
from hiersep.metrics import relative_level_db, si_sdr
from hiersep.models.oracle import phase_sensitive_mask
from hiersep.models.path import PathSeparator
from hiersep.models.query import QuerySeparator
from hiersep.models.separator import Separation
from hiersep.models.tree import TreeSeparator
from hiersep.stft import STFT

TRANSFORM = STFT(64, 32)
SOFT = 1e-3  # -30 dB, relative to the mixture


def waves(samples):
    return torch.from_numpy(np.asarray(samples, np.float32))


def separation_with(mixture, masks):
    spectrum = TRANSFORM(mixture)
    if not isinstance(masks, torch.Tensor):
        masks = torch.full((len(mixture), masks[0], *spectrum.shape[1:]), float(masks[1]))
    return Separation(mixture, spectrum, masks, TRANSFORM)


def estimated(waveforms, mixture):
    """What the losses on waveforms look at: estimates (batch, node, channel, time) of a mixture."""
    return SimpleNamespace(mixture=mixture, waveforms=lambda: waveforms)


@pytest.fixture
def parts(rng):
    """A mixture of two parts, each loud where the other is soft: (batch, channel, time) thrice."""
    parts = waves(rng.standard_normal((2, 3, 1, 800)))
    return parts.sum(0), parts[0], parts[1]


def best_masks(mixture, sources):
    """The truncated phase-sensitive mask, by its definition: clip(|S| / |X| cos(angle S - angle X), 0, 1)."""
    x, s = TRANSFORM(mixture).numpy()[:, None], TRANSFORM(sources).numpy()
    mask = np.clip(np.abs(s) / np.abs(x) * np.cos(np.angle(s) - np.angle(x)), 0, 1)
    return waves(mask)


def test_the_papers_loss_is_zero_at_the_truncated_phase_sensitive_mask_and_above_elsewhere(parts):
    mixture, *sources = parts
    sources = torch.stack(sources, dim=1)
    best = best_masks(mixture, sources)
    torch.testing.assert_close(
        phase_sensitive_l1(separation_with(mixture, best), sources), torch.zeros(3, 2), atol=1e-4, rtol=0
    )
    for other in (torch.rand(best.shape), best * 0.9, (best + 0.1).clamp(max=1), torch.ones(best.shape)):
        assert (phase_sensitive_l1(separation_with(mixture, other), sources) > 1e-3).all()


def test_the_papers_loss_has_a_closed_form_for_constant_gains():
    # The source is half the mixture, so the target magnitude is |X| / 2 in every bin: the loss is |m - 1/2| mean|X|.
    mixture = waves(noise(0.05))[None]
    mean_magnitude = TRANSFORM(mixture).abs().mean()
    for gain in (0.0, 0.25, 0.5, 1.0):
        loss = phase_sensitive_l1(separation_with(mixture, (1, gain)), 0.5 * mixture[:, None])
        assert loss.item() == pytest.approx(abs(gain - 0.5) * mean_magnitude.item(), abs=1e-5)
    # A source in antiphase is truncated to nothing; one twice the mixture to the mixture itself.
    for factor, gain in ((-1.0, 0.0), (2.0, 1.0)):
        loss = phase_sensitive_l1(separation_with(mixture, (1, gain)), factor * mixture[:, None])
        assert loss.item() == pytest.approx(0, abs=1e-5)


def test_negative_snr_has_a_closed_form_on_two_tones():
    # Estimate g(a + b), source a, both of power P over the mixture's 2P; threshold t = 1e-3 of the mixture's energy.
    a, b = waves(tone(0.05, hz=400)), waves(tone(0.05, hz=1000))
    mixture = (a + b)[None]
    for gain in (0.0, 0.5, 1.0):
        error, floor = (1 - gain) ** 2 + gain**2, 2e-3
        expected = 10 * np.log10((error + floor) / (1 + floor))
        loss = negative_snr(separation_with(mixture, (1, gain)), a[None, None])
        assert loss.item() == pytest.approx(expected, abs=1e-3)


def test_negative_snr_is_least_at_the_reference_and_fixes_the_gain():
    mixture = waves(noise(0.05))[None]
    losses = [
        negative_snr(separation_with(mixture, (1, gain)), 0.6 * mixture[:, None]).item()
        for gain in (0.0, 0.3, 0.59, 0.6, 0.61, 0.9, 1.0)
    ]
    assert min(losses) == losses[3]
    assert losses == sorted(losses[:4], reverse=True) + sorted(losses[4:])
    assert losses[3] == pytest.approx(10 * np.log10(1e-3 / (0.36 + 1e-3)), abs=1e-2)


@pytest.mark.parametrize("error_db", [-60, -20, 0, 20, 60])
@pytest.mark.parametrize("gain", [0.05, 1.0, 20.0])
def test_negative_si_sdr_is_the_metric_within_soft_limits_of_30_db(error_db, gain):
    # The target takes the share p of the estimate's energy, the error 1 - p; the floor adds t to both shares.
    source, rest = waves(noise(0.2, seed=1) + 0.2), waves(noise(0.2, seed=2))
    estimate = gain * (source + waves(noise(0.2, db=-20 + error_db, seed=3)))
    mixture, estimates, references = (source + rest)[None], estimate[None, None], source[None, None]
    ratio = 10 ** (si_sdr(estimates, references).item() / 10)
    share = ratio / (1 + ratio)
    floor = SOFT * (1 + SOFT * (mixture.square().sum() / (estimate - estimate.mean()).square().sum()).item())
    expected = 10 * np.log10((1 - share + floor) / (share + floor))
    assert negative_si_sdr(estimated(estimates, mixture), references).item() == pytest.approx(expected, abs=2e-3)
    assert abs(expected) <= 30.1


@settings(max_examples=30)
@given(st.floats(0.1, 10), st.sampled_from([1, -1]), st.floats(0.05, 20), st.floats(-0.3, 0.3))
def test_negative_si_sdr_knows_no_gain_sign_or_offset_and_negative_snr_does(gain, sign, reference_gain, offset):
    source, error = waves(noise(0.05, seed=1)), waves(noise(0.05, db=-30, seed=2))
    mixture, references = source[None], source[None, None]
    estimates = (source + error)[None, None]
    plain = negative_si_sdr(estimated(estimates, mixture), references)
    moved = negative_si_sdr(
        estimated(sign * gain * (estimates + offset), mixture), reference_gain * references - offset
    )
    torch.testing.assert_close(moved, plain, atol=0.05, rtol=0)
    louder = negative_snr(estimated(2 * estimates, mixture), references)
    assert louder > negative_snr(estimated(estimates, mixture), references) + 5


@pytest.mark.parametrize("loss", [negative_snr, negative_si_sdr])
@pytest.mark.parametrize("reference_db", [-np.inf, -90.0])
def test_silent_targets_are_pulled_to_silence_from_any_level(loss, reference_db):
    mixture, reference = waves(noise(0.1))[None], waves(noise(0.1, db=reference_db, seed=2))[None, None]
    direction = waves(noise(0.1, seed=3))[None, None]
    levels = []
    for decibels in range(-60, 31, 10):
        estimates = (10 ** (decibels / 20) * direction).requires_grad_()
        level = loss(estimated(estimates, mixture), reference)
        level.sum().backward()
        # Louder is worse, and the gradient is along the estimate itself: down is towards silence.
        cosine = torch.nn.functional.cosine_similarity(estimates.grad.flatten(), estimates.flatten(), dim=0)
        assert cosine > (0.99 if decibels > -60 else 0.9)
        levels.append(level.item())
    assert levels == sorted(levels)
    assert levels[0] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(("reference_db", "silent"), [(-50.0, False), (-70.0, True)])
def test_a_target_counts_as_silent_60_db_under_the_mixture(reference_db, silent):
    """One that does not is asked for at any gain; where it does, the softer the estimate the better."""
    mixture = waves(noise(0.1, db=0.0))[None]
    reference = waves(noise(0.1, db=reference_db, seed=2))[None, None]
    near, far = (negative_si_sdr(estimated(gain * reference, mixture), reference).item() for gain in (1.0, 300.0))
    assert (far > near + 1) is silent
    if silent:
        assert near == negative_snr(estimated(reference, mixture), reference).item()


@settings(max_examples=60)
@given(
    st.sampled_from([negative_snr, negative_si_sdr]),
    st.sampled_from([0.0, 1e-4, 1.0]),
    st.floats(-9, 3),
    st.floats(-3, 1),
    st.integers(0, 99),
)
def test_gradients_on_waveforms_are_bounded_whatever_the_estimate(loss, reference_gain, exponent, loudness, seed):
    # With m the mixture's energy: |d log(|err|^2 + f)| <= 1 / sqrt(f) + 2 t |e| / f <= 1 / (t sqrt(m)) + 1 / sqrt(t m),
    # and the same for the target's share; both are taken times 10 / ln 10.
    mixture, source, direction = 10**loudness * waves(noise(0.05, channels=3, seed=seed))[:, None]
    estimates = (10**exponent * direction)[None, None].requires_grad_()
    loss(estimated(estimates, mixture[None]), reference_gain * source[None, None]).sum().backward()
    bound = 10 / np.log(10) * 2 * (1 / SOFT + 1 / np.sqrt(SOFT)) / mixture.norm().item()
    assert estimates.grad.norm().item() <= bound


def test_the_multi_resolution_loss_equals_its_definition_written_in_numpy():
    error, truth = noise(0.256, channels=2, seed=1), noise(0.256, channels=2, seed=2)  # 4096 samples
    separation = estimated(waves(truth + error)[None, None], None)
    expected = np.abs(error).mean()
    for n_fft in (4096, 2048, 1024, 512, 256):
        window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft))
        padded = np.pad(error, [(0, 0), (n_fft // 2, n_fft // 2)])
        starts = range(0, padded.shape[1] - n_fft + 1, n_fft // 2)
        frames = np.stack([padded[:, start : start + n_fft] for start in starts]) * window
        expected += np.abs(np.fft.rfft(frames)).mean() / np.sqrt((window**2).sum()) / 5
    assert l1_multi_resolution(separation, waves(truth)[None, None]).item() == pytest.approx(expected, rel=1e-4)


def test_the_multi_resolution_loss_hears_white_noise_alike_in_waveform_and_spectra():
    # E|x| = sqrt(2 / pi) for a normal variable, E|z| = sqrt(pi) / 2 for a complex one, of variance 1.
    truth, error = waves(noise(4.0, seed=1))[None, None], waves(noise(4.0, db=-40, seed=2))[None, None]
    separation = estimated(truth + error, None)
    expected = 0.01 * (np.sqrt(2 / np.pi) + np.sqrt(np.pi) / 2)
    assert l1_multi_resolution(separation, truth).item() == pytest.approx(expected, rel=0.02)
    assert l1_multi_resolution(estimated(truth, None), truth).item() == 0


def test_the_papers_loss_refuses_complex_masks():
    mixture = waves(noise(0.05))[None]
    masks = torch.ones((1, 1, *TRANSFORM(mixture).shape[1:]), dtype=torch.complex64)
    with pytest.raises(ConfigError) as error:
        phase_sensitive_l1(separation_with(mixture, masks), mixture[:, None])
    assert str(error.value) == (
        "training.loss: phase_sensitive_l1 needs real masks, got complex ones; choose a loss on waveforms "
        "(negative_snr, negative_si_sdr, l1_multi_resolution)"
    )


def test_every_loss_can_be_configured_and_no_other():
    assert typing.get_args(typing.get_type_hints(TrainingConfig)["loss"]) == tuple(LOSSES)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_descending_it_leads_free_masks_to_the_oracle_and_silent_ones_to_silence(loss):
    low, high = waves(bursts(0.3, [(0, 0.2)], hz=500)), waves(bursts(0.3, [(0.1, 0.3)], hz=1500))
    mixture = (low + high + waves(noise(0.3, db=-30)))[None]
    sources = torch.stack([low + high, low, 0 * low])[None]
    transform = STFT(256, 128)
    spectrum = transform(mixture)
    logits = torch.zeros((1, 3, *spectrum.shape[1:]), requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        separation = Separation(mixture, spectrum, logits.sigmoid(), transform)
        mean_over_known(loss(separation, sources), torch.ones(1, 3, dtype=torch.bool)).backward()
        optimizer.step()
    oracle = separation._replace(masks=phase_sensitive_mask(spectrum, transform(sources)))
    reached, best = (si_sdr(s.waveforms(), sources)[0, :2] for s in (separation, oracle))
    assert (best > 25).all()
    assert (reached > best - 1).all()
    assert relative_level_db(separation.waveforms(), mixture)[0, 2] < -40


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("case", ["silent mixture", "silent reference"])
def test_values_and_gradients_are_finite_on_silence(loss, case, parts):
    mixture, source, _ = parts
    silence = 0 * mixture
    mixture, source = (silence, silence) if case == "silent mixture" else (mixture, silence)
    masks = torch.full((3, 1, *TRANSFORM(mixture).shape[1:]), 0.5, requires_grad=True)
    value = loss(separation_with(mixture, masks), source[:, None])
    assert value.shape == (3, 1)
    value.sum().backward()
    assert value.isfinite().all()
    assert masks.grad.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_items_and_nodes_are_scored_independently(loss, parts):
    mixture, *sources = parts
    sources = torch.stack(sources, dim=1)
    masks = torch.rand((3, 2, *TRANSFORM(mixture).shape[1:]))
    values = loss(separation_with(mixture, masks), sources)
    alone = loss(separation_with(mixture[1:2], masks[1:2, 1:]), sources[1:2, 1:])
    torch.testing.assert_close(values[1:2, 1:], alone)


shapes = st.tuples(st.integers(1, 6), st.integers(1, 4))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_what_is_taken_out_of_a_batch_has_the_loss_that_it_has_within(loss, rng):
    mixture = waves(rng.standard_normal((3, 2, 800)))
    masks = torch.from_numpy(rng.random((3, 4, 2, 33, 26)).astype(np.float32))
    references = waves(rng.standard_normal((3, 4, 2, 800)))
    separation = separation_with(mixture, masks)
    items, nodes = torch.tensor([2, 0, 2]), torch.tensor([1, 3, 0])
    alone = loss(separation.of(items, nodes), references[items, nodes][:, None])
    torch.testing.assert_close(alone[:, 0], loss(separation, references)[items, nodes])


@given(shapes.flatmap(lambda s: st.tuples(arrays(np.float32, s, elements=st.floats(-9, 9, width=32)), arrays(bool, s))))
def test_the_mean_is_over_known_items_per_node_and_then_over_all_nodes(drawn):
    values, known = drawn
    total = 0.0
    for node in range(values.shape[1]):
        kept = values[known[:, node], node].astype(float)
        total += kept.mean() if len(kept) else 0.0
    mean = mean_over_known(torch.from_numpy(values), torch.from_numpy(known))
    assert mean.item() == pytest.approx(total / values.shape[1], abs=1e-4)


def test_a_broken_value_that_is_not_known_does_not_enter_the_mean():
    # What it was computed from may have a gradient of NaN all the same (0 times infinity): training zeroes it first.
    values = torch.tensor([[1.0, torch.nan]], requires_grad=True)
    mean = mean_over_known(values, torch.tensor([[True, False]]))
    mean.backward()
    assert mean.item() == 0.5
    assert values.grad.tolist() == [[0.5, 0.0]]


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("hidden", [0, 9, 10], ids="{}0 % hidden".format)
def test_hiding_leaves_changes_nothing_for_their_parents(loss, hidden, rng):
    sources = waves(rng.standard_normal((10, 3, 1, 300)))
    mixture, known = sources.sum(1), torch.ones(10, 3, dtype=torch.bool)

    def gradient(known):
        masks = torch.full((10, 3, *TRANSFORM(mixture).shape[1:]), 0.3, requires_grad=True)
        mean_over_known(loss(separation_with(mixture, masks), sources), known).backward()
        return masks.grad

    everything = gradient(known)
    known[:hidden, 2] = False
    found = gradient(known)
    assert torch.equal(found[:, :2], everything[:, :2])
    # The leaves that are left share the leaf level's third among them.
    left = 10 / max(10 - hidden, 1)
    torch.testing.assert_close(found[hidden:, 2], left * everything[hidden:, 2], rtol=1e-4, atol=1e-8)
    assert not found[:hidden, 2].any()


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("kind", [PathSeparator, QuerySeparator, TreeSeparator])
@pytest.mark.parametrize("constraint", ["none", "max"])
@pytest.mark.parametrize("hidden", [1, 2])
def test_a_networks_gradient_is_that_of_what_is_known(loss, kind, constraint, hidden, rng):
    torch.manual_seed(0)
    small = {"hidden_size": 4, "num_layers": 1, "constraint": constraint}
    path = ["strings_guitars_keyboards", "guitar", "clean_guitars"]
    tree, names = ("slakh34", None) if kind is QuerySeparator else ("slakh_ismir2020", path)
    model = kind(tree, names, network=small, spectrum={"n_fft": 64, "hop_length": 32}).eval()
    condition = torch.nn.functional.normalize(torch.ones(2, 20)) if kind is QuerySeparator else None
    sources = waves(rng.standard_normal((2, 3, 1, 500)))
    mixture, known = sources.sum(1), torch.ones(2, 3, dtype=torch.bool)
    known[:hidden, 2] = False
    changed = sources.clone()
    changed[:hidden, 2] *= -5.0  # what a hidden reference holds must not matter

    def gradients(total):
        return torch.autograd.grad(total, [p for n, p in model.named_parameters() if "query_network" not in n])

    values = loss(model.separate_batch(mixture, condition), sources)
    expected = sum(values[known[:, node], node].mean() for node in range(3) if known[:, node].any()) / 3
    found = mean_over_known(loss(model.separate_batch(mixture, condition), changed), known)
    for ours, theirs in zip(gradients(found), gradients(expected), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


@settings(max_examples=20)
@given(st.permutations([0, 1, 2]))
def test_permuting_siblings_permutes_the_values(order):
    generator = torch.Generator().manual_seed(1)
    mixture, sources = torch.randn((2, 1, 300), generator=generator), torch.randn((2, 3, 1, 300), generator=generator)
    masks = torch.rand((2, 3, *TRANSFORM(mixture).shape[1:]), generator=generator)
    for loss in LOSSES.values():
        plain = loss(separation_with(mixture, masks), sources)
        permuted = loss(separation_with(mixture, masks[:, order]), sources[:, order])
        torch.testing.assert_close(permuted, plain[:, order])
