"""The transform: exact at every length, and a spectrum in the textbook's sense."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hiersep.errors import ConfigError
from hiersep.stft import STFT

LENGTHS = [1, 511, 512, 513, 1023, 7919, 44100]


@pytest.mark.parametrize("hop_length", [512, 256])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_mask_of_ones_gives_the_signal_back(rng, length, hop_length):
    stft = STFT(1024, hop_length)
    signal = torch.from_numpy(rng.uniform(-1, 1, (2, 3, length)).astype(np.float32))
    back = stft.inverse(stft(signal) * torch.ones(()), length)
    assert back.shape == signal.shape
    assert back.dtype == torch.float32
    assert (back - signal).abs().max() <= 1e-6


@settings(max_examples=30)
@given(st.integers(1, 3000), st.sampled_from([(16, 8), (16, 3), (64, 1), (256, 128), (258, 100)]), st.integers(0, 99))
def test_every_length_and_hop_is_exact_in_double_precision(length, sizes, seed):
    stft = STFT(*sizes).double()
    signal = torch.from_numpy(np.random.default_rng(seed).standard_normal((1, length)))
    assert (stft.inverse(stft(signal), length) - signal).abs().max() <= 1e-12


@settings(max_examples=50)
@given(st.integers(1, 3000), st.sampled_from([(64, 32), (256, 128), (256, 64)]), st.integers(0, 99))
def test_no_mask_makes_a_click_at_the_ends(length, sizes, seed):
    # Masking leaves something at the edges of a frame; dividing it by a window that is almost zero there would
    # make the last samples louder than all music (by a factor of up to n_fft / (2 pi)).
    stft = STFT(*sizes)
    generator = torch.Generator().manual_seed(seed)
    spectrum = stft(torch.rand(length, generator=generator) * 2 - 1)
    masked = stft.inverse(spectrum * torch.rand(spectrum.shape, generator=generator), length)
    assert masked.abs().max() <= 2


def test_ten_seconds_make_the_papers_313_frames():
    assert STFT(1024, 512)(torch.zeros(160_000)).shape == (513, 313)


def test_a_frame_is_the_windowed_fourier_transform_with_zeros_around_the_signal(rng):
    signal = rng.standard_normal(100)
    spectrum = STFT(32, 16).double()(torch.from_numpy(signal)).numpy()
    padded = np.pad(signal, 16)
    window = np.sin(np.pi * np.arange(32) / 32)  # the square root of the periodic Hann window
    expected = [np.fft.rfft(window * padded[start : start + 32]) for start in range(0, 101, 16)]
    assert spectrum.shape == (17, 7)
    np.testing.assert_allclose(spectrum, np.array(expected).T, atol=1e-5)  # the window is stored in single precision


def test_it_is_linear_and_treats_leading_axes_alike(rng):
    stft = STFT(64, 32)
    a, b = torch.from_numpy(rng.standard_normal((2, 3, 2, 500)).astype(np.float32))
    torch.testing.assert_close(stft(2 * a - b), 2 * stft(a) - stft(b), atol=1e-4, rtol=0)
    torch.testing.assert_close(stft(a)[1, 1], stft(a[1, 1]))


@pytest.mark.parametrize("hop_length", [0, -1, 513])
def test_a_hop_that_cannot_be_divided_out_is_refused(hop_length):
    with pytest.raises(ConfigError, match=f"hop_length: expected 1 to 512 .* got {hop_length}"):
        STFT(1024, hop_length)


def test_it_prints_its_sizes_and_keeps_no_weights():
    assert repr(STFT(64, 32)) == "STFT(n_fft=64, hop_length=32)"
    assert not STFT(64, 32).state_dict()
