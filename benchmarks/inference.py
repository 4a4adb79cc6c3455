"""How fast long audio is separated, beside the bare network and nussl; and what the segments cost in memory and dB.

*Time.* `hiersep.separation.separate`, array to array, takes one channel at 16 kHz apart with the network of the paper
(4 x 600 BLSTM, 3 nodes). Beside it the same network runs *bare*, from spectra that lie ready to masks and no further
(level in dB, normalisation, LSTM stack, head, sigmoid, constraint): over all frames at once, and over the very batches
of segments that `separate` makes. So what is judged is all else: cutting, both Fourier transforms, the application of
the masks, the cross-fade. Then our separation object stands beside nussl's `DeepMaskEstimation`, each made and run
from AudioSignal to AudioSignals; nussl has its own `SeparationModel` of the same layers with the same weights. The ways
take turns, so that a busy moment falls on all. Values are medians, and so are the bars, of the turns' ratios.

*Memory.* Peak of the process while it separates, above what it has with the model loaded and the mixture made, less
the estimates, for the same network and one channel, by the mixture's length.

*Quality.* A small trained network (`tests/fixtures/path.safetensors`) on rendered songs, by seconds of overlap. *SI-SDR
change*: of its estimates against the true submixes, minus that of the same network over the whole song at once, where
that is above 0 dB. *Joins stand out by*: how much more the estimates differ from those over the whole within 20 ms of
the joins than elsewhere. Means; least and most of songs and nodes. The default overlap is the smallest that loses less
than 0.05 dB and whose joins stand out by less than 2.5 dB. By shifts: the change of SI-SDR against no shift.

`--seconds N` says how long mixtures and songs are (default: 60).
"""

from __future__ import annotations

import argparse
import itertools
import math
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks._report import Bar, run
from hiersep import HierarchicalMixtureDataset, HierarchicalSeparator, PathSeparator, from_pretrained
from hiersep.compat import nussl
from hiersep.metrics import si_sdr
from hiersep.render import RenderSettings, render
from hiersep.separation import SeparationSettings, separate
from hiersep.separation.settings import OVERLAP_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from hiersep.separation.segments import Segments

PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
PAPERS: dict[str, Any] = {}  # sizes; those of the paper are the default
FIXTURE = Path(__file__).parents[1] / "tests" / "fixtures" / "path.safetensors"
SONGS = 16
OVERLAPS_S = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
SHIFTS = (2, 4)
LONGER = (1, 5, 10)  # times as long, for the figures of memory
REACHED_DB = 0.0  # nodes that the network does not find have an SI-SDR that says nothing, and jumps by whole dB
OF_BARE, OF_NUSSL, GROWTH, LOST_DB, STANDING_OUT_DB = 1.10, 1.0, 1.1, 0.05, 2.5


def row(measured: str, unit: str, value: float, values: list[float]) -> dict[str, str | float]:
    return {"measured": measured, "unit": unit, "value": value, "least": min(values), "most": max(values)}


def papers_network(sizes: dict[str, Any]) -> PathSeparator:
    torch.manual_seed(0)
    return PathSeparator("slakh_ismir2020", PATH, network=sizes).eval()


def make_mixture(model: PathSeparator, seconds: float) -> np.ndarray:
    samples = np.random.default_rng(0).standard_normal((1, round(seconds * model.sample_rate)))
    return (0.1 * samples).astype(np.float32)


# Time


def bare(model: PathSeparator, mixture: np.ndarray, segmenting: SeparationSettings) -> Callable[[], None]:
    """Make the network's work alone, over the batches that `separate` makes."""
    segments = segmenting.lay_out(mixture.shape[1], hop=model.stft.hop_length, sample_rate=int(model.sample_rate))
    spectra = [
        model.stft(torch.from_numpy(np.stack([mixture[:, start : start + segments.length] for start in starts])))
        for starts in segments.batches(segmenting.batch_size)
    ]

    def forward() -> None:
        with torch.inference_mode():
            for spectrum in spectra:
                model.estimate_masks(spectrum)

    return forward


def as_nussls(model: PathSeparator) -> Any:
    """Make nussl's own mask inference network of the same sizes and weights; it has no constraint."""
    network, bins = model.network_config, model.stft.n_freq
    config = nussl.ml.networks.builders.build_recurrent_mask_inference(
        bins,
        network.hidden_size,
        network.num_layers,
        bidirectional=True,
        dropout=network.dropout,
        num_sources=len(model.nodes),
        mask_activation=["sigmoid"],
        normalization_args={"num_features": bins},
    )
    theirs = nussl.ml.SeparationModel(config).eval()
    theirs.layers["recurrent_stack"].rnn.load_state_dict(model.backbone.lstm.state_dict())
    linear = theirs.layers["mask"].linear
    normalization = theirs.layers["normalization"].batch_norm
    normalization.load_state_dict(model.norm.state_dict())
    with torch.no_grad():
        # SciPy divides spectra by the window's sum. nussl's head has a bin's nodes side by side, ours a node's bins.
        normalization.running_mean -= 20 * torch.log10(model.stft.window.sum())
        for name, values in model.head.named_parameters():
            getattr(linear, name).copy_(values.unflatten(0, (len(model.nodes), bins)).transpose(0, 1).flatten(0, 1))
    return theirs


def nussls_separator(theirs: Any, model: PathSeparator, signal: Any) -> Any:
    """Make nussl's separation object; its loader, which unpickles, is passed by."""
    separator = nussl.separation.deep.DeepMaskEstimation(signal)
    transforms = nussl.datasets.transforms
    separator.model, separator.device = theirs, "cpu"
    separator.transform = transforms.Compose(
        [transforms.PhaseSensitiveSpectrumApproximation(), transforms.ToSeparationModel()]
    )
    separator.metadata.update(sample_rate=int(model.sample_rate), num_channels=1, stft_params=signal.stft_params)
    return separator


def time_separation(repeats: int, seconds: float) -> tuple[list, list[Bar]]:
    model = papers_network(PAPERS)
    mixture, rate = make_mixture(model, seconds), int(model.sample_rate)
    theirs = as_nussls(model)
    params = nussl.STFTParams(model.stft.n_fft, model.stft.hop_length, "sqrt_hann")
    signal = nussl.AudioSignal(audio_data_array=mixture, sample_rate=rate, stft_params=params)
    ways: dict[str, Callable[[], Any]] = {
        "separate": lambda: separate(mixture, rate, model),
        "bare, all frames at once": bare(model, mixture, SeparationSettings(segment_s=2 * seconds)),
        "bare, the same batches": bare(model, mixture, SeparationSettings()),
        "HierarchicalSeparator": lambda: HierarchicalSeparator(signal, model, device="cpu")(),
        "nussl's DeepMaskEstimation": lambda: nussls_separator(theirs, model, signal)(),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):  # the first unmeasured
        for name, do in ways.items():
            started = time.perf_counter()
            do()
            if turn:
                times[name].append(time.perf_counter() - started)
    ours, whole, batches, our_object, their_object = times.values()
    beside_bare = [mine / min(others) for mine, *others in zip(ours, whole, batches, strict=True)]
    beside_nussl = [mine / other for mine, other in zip(our_object, their_object, strict=True)]
    rows = [row(f"{name}, {seconds:g} s", "s", statistics.median(values), values) for name, values in times.items()]
    return rows, [
        Bar("of the faster bare network's time", statistics.median(beside_bare), f"<= {OF_BARE:g}"),
        Bar("of the time of nussl's DeepMaskEstimation", statistics.median(beside_nussl), f"<= {OF_NUSSL:g}"),
    ]


# Memory


def resident_mb(field: str) -> float:
    """What /proc says of this process's memory, in MB: ``VmRSS`` now, ``VmHWM`` at its peak."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (value,) = (line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return int(value) / 1024


def peak_mb(seconds: float, sizes: dict[str, Any]) -> float:
    """Most memory that separating takes, beside the model, the mixture and the estimates."""
    model = papers_network(sizes)
    mixture = make_mixture(model, seconds)
    before = resident_mb("VmRSS")
    estimates = separate(mixture, int(model.sample_rate), model)
    return resident_mb("VmHWM") - before - estimates.nbytes / 2**20


def measure_memory(seconds: float) -> tuple[list, list[Bar]]:
    peaks = {}
    for times in LONGER:
        # A peak never falls, so each has a process of its own.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            peaks[times] = pool.submit(peak_mb, times * seconds, PAPERS).result()
    *_, long, longest = peaks.values()
    rows = [
        row(f"memory beside the estimates, {times * seconds:g} s", "MB", peak, [peak]) for times, peak in peaks.items()
    ]
    return rows, [Bar("times the memory for twice the length", longest / long, f"<= {GROWTH:g}")]


# Quality


def open_songs(folder: Path, model: Any, seconds: float) -> HierarchicalMixtureDataset:
    """Render songs; an item is a whole song."""
    rate = int(model.sample_rate)
    render(
        folder,
        RenderSettings(tracks=SONGS, seed=7, splits=(0.0, 0.0, 1.0), duration=seconds, sample_rate=rate, format="wav"),
    )
    return HierarchicalMixtureDataset(
        folder,
        model.hierarchy,
        split="test",
        target=list(model.nodes),
        duration=seconds,
        sample_rate=rate,
        num_mixtures=SONGS,
    )


def standing_out(parts: torch.Tensor, whole: torch.Tensor, segments: Segments, rate: int) -> float:
    """How much more parts differ from the whole within 20 ms of the joins than elsewhere, in dB beside its level."""
    at_joins = torch.zeros(whole.shape[-1], dtype=torch.bool)
    for start, following in itertools.pairwise(segments.starts):
        join = (start + segments.length + following) // 2
        at_joins[join - rate // 50 : join + rate // 50] = True
    difference, level = (parts - whole).square().sum(dim=(0, 1)), whole.square().sum(dim=(0, 1))
    errors = [difference[place].sum() / level[place].sum() for place in (at_joins, ~at_joins)]
    return 10 * math.log10(errors[0] / errors[1])


def measure_quality(seconds: float) -> tuple[list, list[Bar]]:
    model = from_pretrained(FIXTURE)
    rate, hop = int(model.sample_rate), model.stft.hop_length
    changes: dict[float, list[float]] = {overlap: [] for overlap in OVERLAPS_S}
    joins: dict[float, list[float]] = {overlap: [] for overlap in OVERLAPS_S}
    gains: dict[int, list[float]] = {shifts: [] for shifts in SHIFTS}
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["HIERSEP_CACHE"] = str(Path(scratch) / "cache")
        songs = open_songs(Path(scratch) / "songs", model, seconds)
        for item in map(songs.__getitem__, range(SONGS)):
            mixture, sources = item["mix"].numpy(), item["sources"]
            whole = torch.from_numpy(separate(mixture, rate, model, settings=SeparationSettings(segment_s=2 * seconds)))
            reached = si_sdr(whole, sources)  # (node,), NaN where a node is silent
            for overlap in OVERLAPS_S:
                segmenting = SeparationSettings(overlap_s=overlap)
                parts = torch.from_numpy(separate(mixture, rate, model, settings=segmenting))
                segments = segmenting.lay_out(mixture.shape[1], hop=hop, sample_rate=rate)
                changes[overlap] += (si_sdr(parts, sources) - reached)[reached > REACHED_DB].tolist()
                joins[overlap].append(standing_out(parts, whole, segments, rate))
            for shifts in SHIFTS:
                settings = SeparationSettings(segment_s=2 * seconds, shifts=shifts)
                shifted = torch.from_numpy(separate(mixture, rate, model, settings=settings))
                gains[shifts] += (si_sdr(shifted, sources) - reached)[reached > REACHED_DB].tolist()
    rows = []
    for what, values in (("SI-SDR change", changes), ("joins stand out by", joins)):
        rows += [row(f"{what}, overlap {o:g} s", "dB", statistics.fmean(values[o]), values[o]) for o in OVERLAPS_S]
    rows += [row(f"SI-SDR change, {n} shifts", "dB", statistics.fmean(gains[n]), gains[n]) for n in SHIFTS]
    return rows, [
        Bar("dB of SI-SDR lost by the default overlap", -statistics.fmean(changes[OVERLAP_S]), f"<= {LOST_DB:g}"),
        Bar("dB by which its joins stand out", statistics.fmean(joins[OVERLAP_S]), f"<= {STANDING_OUT_DB:g}"),
    ]


def measure(repeats: int, seconds: float):
    parts = [time_separation(repeats, seconds), measure_memory(seconds), measure_quality(seconds)]
    return [one for rows, _ in parts for one in rows], [bar for _, bars in parts for bar in bars]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--seconds", type=float, default=60.0)
    options, others = parser.parse_known_args(arguments)
    about = "Time separation, and measure its memory and quality. Also: --seconds N, of the mixtures (default: 60)."
    return run(about, lambda repeats: measure(repeats, options.seconds), repeats=7, arguments=others)


if __name__ == "__main__":
    sys.exit(main())
