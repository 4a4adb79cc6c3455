"""What training minimises: least at the truth, known in closed form, and blind to what is not known."""

import numpy as np
import pytest
import torch
from helpers import noise, tone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hiersep.losses import LOSSES, mean_over_known, negative_snr, phase_sensitive_l1
from hiersep.models.path import PathSeparator, Separation
from hiersep.stft import STFT

TRANSFORM = STFT(64, 32)


def waves(samples):
    return torch.from_numpy(np.asarray(samples, np.float32))


def separation_with(mixture, masks):
    spectrum = TRANSFORM(mixture)
    if not isinstance(masks, torch.Tensor):
        masks = torch.full((len(mixture), masks[0], *spectrum.shape[1:]), float(masks[1]))
    return Separation(mixture, spectrum, masks, TRANSFORM)


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


@given(shapes.flatmap(lambda s: st.tuples(arrays(np.float32, s, elements=st.floats(-9, 9, width=32)), arrays(bool, s))))
def test_the_mean_is_over_known_items_per_node_and_then_over_all_nodes(drawn):
    values, known = drawn
    total = 0.0
    for node in range(values.shape[1]):
        kept = values[known[:, node], node].astype(float)
        total += kept.mean() if len(kept) else 0.0
    mean = mean_over_known(torch.from_numpy(values), torch.from_numpy(known))
    assert mean.item() == pytest.approx(total / values.shape[1], abs=1e-4)


def test_a_broken_value_that_is_not_known_spoils_nothing():
    values = torch.tensor([[1.0, torch.nan]], requires_grad=True)
    mean = mean_over_known(values, torch.tensor([[True, False]]))
    mean.backward()
    assert mean.item() == 0.5
    assert values.grad.tolist() == [[0.5, 0.0]]


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("constraint", ["none", "max"])
def test_hiding_the_target_leaves_the_gradient_of_the_coarser_levels_as_it_was(loss, constraint, rng):
    torch.manual_seed(0)
    small = {"hidden_size": 4, "num_layers": 1, "constraint": constraint}
    nodes = ["strings_guitars_keyboards", "guitar", "clean_guitars"]
    model = PathSeparator("slakh_ismir2020", nodes, network=small, spectrum={"n_fft": 64, "hop_length": 32}).eval()
    sources = waves(rng.standard_normal((2, 3, 1, 500)))
    mixture = sources.sum(1)

    def gradients(known, changed):
        model.zero_grad()
        references = sources.clone()
        references[:, 2] *= changed
        values = loss(model.separate_batch(mixture), references)
        mean_over_known(values, known).backward()
        return [p.grad.clone() for p in model.parameters()]

    everything = torch.ones(2, 3, dtype=torch.bool)
    hidden = everything.clone()
    hidden[:, 2] = False
    coarser_only = [torch.zeros_like(p) for p in model.parameters()]
    for node in (0, 1):
        model.zero_grad()
        loss(model.separate_batch(mixture), sources)[:, node].mean().div(3).backward()
        coarser_only = [total + p.grad for total, p in zip(coarser_only, model.parameters(), strict=True)]
    for changed in (1.0, -5.0):  # what the hidden reference holds must not matter
        for found, expected in zip(gradients(hidden, changed), coarser_only, strict=True):
            torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)
    assert any(
        not torch.allclose(a, b) for a, b in zip(gradients(everything, 1.0), gradients(hidden, 1.0), strict=True)
    )


@settings(max_examples=20, deadline=None)
@given(st.permutations([0, 1, 2]))
def test_permuting_siblings_permutes_the_values(order):
    generator = torch.Generator().manual_seed(1)
    mixture, sources = torch.randn((2, 1, 300), generator=generator), torch.randn((2, 3, 1, 300), generator=generator)
    masks = torch.rand((2, 3, *TRANSFORM(mixture).shape[1:]), generator=generator)
    for loss in LOSSES.values():
        plain = loss(separation_with(mixture, masks), sources)
        permuted = loss(separation_with(mixture, masks[:, order]), sources[:, order])
        torch.testing.assert_close(permuted, plain[:, order])
