"""A short-time Fourier transform and its exact inverse, at every length.

Frames are centred and the ends padded with zeros: unlike reflection this works for signals shorter than a window.
With the square-root Hann window on both sides and a hop of at most half a window, analysis and synthesis windows
multiply to a Hann window, whose overlaps are divided out: ``inverse(forward(x), length)`` is x to float precision.

No sample is further than half a hop past the centre of the last frame. Nearer to a window's edge the division would
lift what rounding, or a mask, leaves there: by up to n_fft / (2 pi), a click at the end of a separated signal.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from hiersep.errors import ConfigError


class STFT(nn.Module):
    """Short-time Fourier transform with a square-root Hann window.

    Args:
        n_fft: Window and transform length in samples.
        hop_length: Step between frames in samples, at most half of `n_fft`.

    Raises:
        ConfigError: If the hop is too long for the overlaps to be divided out.

    Example:
        >>> stft = STFT(16, 8)
        >>> x = torch.randn(2, 1, 77)
        >>> torch.allclose(stft.inverse(stft(x), 77), x, atol=1e-6)
        True
    """

    window: torch.Tensor

    def __init__(self, n_fft: int = 1024, hop_length: int = 512):
        super().__init__()
        if not 0 < hop_length <= n_fft // 2:
            raise ConfigError(f"hop_length: expected 1 to {n_fft // 2} (half of n_fft = {n_fft}), got {hop_length}")
        self.n_fft, self.hop_length = n_fft, hop_length
        self.register_buffer("window", torch.hann_window(n_fft).sqrt(), persistent=False)

    @property
    def n_freq(self) -> int:
        """Number of frequency bins."""
        return self.n_fft // 2 + 1

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """Analyse.

        Shape:
            waveform: (..., time); output: (..., freq, frame), complex; frame = 1 + time / hop_length, rounded (halves
            down).
        """
        length = waveform.shape[-1]
        missing = -length % self.hop_length  # samples to the centre of one more frame
        spectrum = torch.stft(
            functional.pad(waveform.reshape(-1, length), (0, missing if 2 * missing < self.hop_length else 0)),
            self.n_fft,
            self.hop_length,
            window=self.window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        return spectrum.reshape(*waveform.shape[:-1], *spectrum.shape[-2:])

    def inverse(self, spectrum: torch.Tensor, length: int) -> torch.Tensor:
        """Synthesise exactly `length` samples.

        Shape:
            spectrum: (..., freq, frame), complex; output: (..., length).
        """
        waveform = torch.istft(
            spectrum.reshape(-1, *spectrum.shape[-2:]),
            self.n_fft,
            self.hop_length,
            window=self.window,
            center=True,
            length=length,
        )
        return waveform.reshape(*spectrum.shape[:-2], length)

    def extra_repr(self) -> str:
        """Name the sizes in the module's printed form."""
        return f"n_fft={self.n_fft}, hop_length={self.hop_length}"
