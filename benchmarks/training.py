"""What a training step costs beyond the arithmetic of its network, and what the loader adds to it.

The step is that of `hiersep train`, without what it does now and then (states, TensorBoard, validation): Lightning
calls asteroid's `System`, and from the waveforms of a batch come spectra, masks, the loss, gradients, AutoClip and
AdamW. Beside it stands the *bare* one: an `nn.LSTM` stack and a linear layer of the paper's sizes, on as many random
frames, with the mean square for a loss, and Adam. A step's time goes from the end of the step before to its own end:
what it waits for a batch is in it. The ways take turns, so that a busy moment falls on all; the first turn does not
count. On a processor a turn is one step, so the workers have the time of three steps for a batch; it takes them
hundredths of one. On a GPU a turn is 40 steps, of which the first do not count, as the loader had time to work ahead.

The loader mixes rendered tracks from the store, in two worker processes; the *fixed* batch is its first one, kept. It
runs on the GPU where there is one, else on the processor. On a GPU the band-split network comes too, and both once more
in bfloat16; of steps with the loader, the share of the time in which the GPU computes, and its memory, are shown.

`--batch N` says how many clips of 10 s a step takes (default: 4; on a GPU the paper's 25).
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from benchmarks._report import Bar, run
from hiersep.compat import pytorch_lightning as pl
from hiersep.config import DataConfig, ExperimentConfig, NetworkConfig, TrainingConfig
from hiersep.data.catalog import index_dataset
from hiersep.losses import phase_sensitive_l1
from hiersep.models.factory import make_separator
from hiersep.render import RenderSettings, render
from hiersep.training.clip import AutoClip
from hiersep.training.data import make_dataset, make_loader
from hiersep.training.system import SeparationSystem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hiersep.data.dataset import HierarchicalMixtureDataset

SONGS = RenderSettings(tracks=6, seed=3, splits=(1.0, 0.0, 0.0), duration=60.0, sample_rate=16000, format="wav")
WORKERS = 2
OF_BARE, OF_FIXED, BUSY = 1.10, 1.05, 0.9
FIXED, LOADER, BARE = "fixed batch", f"loader, {WORKERS} workers", "bare nn.LSTM and nn.Linear"
PAPERS, BAND_SPLIT = "paper's, 4 x 600 BLSTM", "band-split"
NETWORKS = {PAPERS: NetworkConfig(), BAND_SPLIT: NetworkConfig(backbone="bandsplit")}
ON_GPU = torch.cuda.is_available()
BLOCK, AHEAD = (40, 10) if ON_GPU else (1, 0)  # steps of a turn, and those of them that do not count


class Turns:
    """A loader that takes some batches of each source in turn."""

    def __init__(self, sources: dict[str, Iterable[Any]], turns: int):
        self.sources, self.turns = sources, turns
        self.name = ""

    def __len__(self) -> int:
        return self.turns * BLOCK * len(self.sources)

    def __iter__(self) -> Iterator[Any]:
        iterators = {name: iter(source) for name, source in self.sources.items()}
        for _ in range(self.turns):
            for name, iterator in iterators.items():
                self.name = name
                yield from itertools.islice(iterator, BLOCK)


class Stopwatch(pl.Callback):
    """Time every step, and after each turn something else."""

    def __init__(self, turns: Turns, others: dict[str, Callable[[], None]]):
        self.turns, self.others = turns, others
        self.seconds: dict[str, list[float]] = {name: [] for name in (*turns.sources, *others)}

    def on_train_start(self, trainer, pl_module) -> None:
        """Begin the first step."""
        self.started = time.perf_counter()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        """End a step; at the end of a turn do the rest."""
        self.stop(self.turns.name)
        if (batch_idx + 1) % (BLOCK * len(self.turns.sources)) == 0:
            for name, do in self.others.items():
                for _ in range(BLOCK):
                    do()
                    self.stop(name)

    def stop(self, name: str) -> None:
        """Note how long a step took, and begin the next."""
        if ON_GPU:
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds[name].append(now - self.started)
        self.started = now

    def counted(self) -> dict[str, list[float]]:
        """Seconds of the steps that count."""
        return {
            name: [value for number, value in enumerate(values) if number >= BLOCK and number % BLOCK >= AHEAD]
            for name, values in self.seconds.items()
        }


class Watch(pl.Callback):
    """Record what the GPU does, from one step on."""

    def __init__(self, first: int):
        self.first = first
        self.profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        """Begin where the first steps are over."""
        if batch_idx + 1 == self.first:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            self.profile.start()
            self.started = time.perf_counter()

    def on_train_end(self, trainer, pl_module) -> None:
        """End."""
        torch.cuda.synchronize()
        self.seconds = time.perf_counter() - self.started
        self.profile.stop()

    def busy_share(self) -> float:
        """Share of the time in which a kernel or a copy runs."""
        on_gpu = torch.autograd.DeviceType.CUDA
        events = [e for e in self.profile.events() if e.device_type == on_gpu and not e.is_user_annotation]
        return covered([(e.time_range.start, e.time_range.end) for e in events]) / 1e6 / self.seconds


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """Length of the union of spans."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def fit(model: nn.Module, loader: Any, callback: pl.Callback, precision: str) -> None:
    """Take the steps of one epoch, as `hiersep train` takes them."""
    trainer = pl.Trainer(
        accelerator="gpu" if ON_GPU else "cpu",
        devices=1,
        max_epochs=1,
        limit_val_batches=0,
        precision=precision,
        callbacks=[AutoClip(), callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0)
    trainer.fit(SeparationSystem(model, optimizer, phase_sensitive_l1, train_loader=loader))


def bare_step(frames: int, batch: int, model: nn.Module) -> Callable[[], None]:
    """Make the step of the network's arithmetic alone, in the sizes of a `PathSeparator`."""
    device = "cuda" if ON_GPU else "cpu"
    stack, head = model.backbone.lstm, model.head
    sizes = {"num_layers": stack.num_layers, "dropout": stack.dropout}
    lstm = nn.LSTM(stack.input_size, stack.hidden_size, batch_first=True, bidirectional=True, **sizes).to(device)
    linear = nn.Linear(head.in_features, head.out_features).to(device)
    optimizer = torch.optim.Adam([*lstm.parameters(), *linear.parameters()], lr=1e-4)
    inputs = torch.randn(batch, frames, stack.input_size, device=device)

    def step() -> None:
        optimizer.zero_grad()
        linear(lstm(inputs)[0]).square().mean().backward()
        optimizer.step()

    return step


def open_loader(config: ExperimentConfig, steps: int) -> tuple[HierarchicalMixtureDataset, Iterable[Any]]:
    dataset = make_dataset(config, "train", steps * config.training.batch_size)
    assert dataset.catalog.store is not None
    return dataset, make_loader(dataset, config.training.batch_size, WORKERS)


def time_steps(config: ExperimentConfig, precision: str, turns: int, *, with_bare: bool) -> dict[str, list[float]]:
    """Take steps in turn; give the seconds of each, by what was done."""
    dataset, loader = open_loader(config, turns * BLOCK)
    model = make_separator(config, dataset.hierarchy, dataset.nodes)
    first = next(iter(make_loader(dataset, config.training.batch_size, 0)))
    frames = model.stft(first["mix"][:1]).shape[-1]
    others = {BARE: bare_step(frames, config.training.batch_size, model)} if with_bare else {}
    stopwatch = Stopwatch(Turns({FIXED: itertools.repeat(first), LOADER: loader}, turns), others)
    fit(model, stopwatch.turns, stopwatch, precision)
    return stopwatch.counted()


def watch_gpu(config: ExperimentConfig, precision: str) -> tuple[float, float]:
    """Give the share of the time in which the GPU is busy with the loader's batches, and its peak memory in GB."""
    dataset, loader = open_loader(config, AHEAD + BLOCK)
    watch = Watch(AHEAD)
    fit(make_separator(config, dataset.hierarchy, dataset.nodes), loader, watch, precision)
    return watch.busy_share(), torch.cuda.max_memory_allocated() / 1e9


def time_network(name: str, config: ExperimentConfig, precision: str, repeats: int) -> tuple[list, list[Bar]]:
    """Time the steps of a network; give rows and bars."""
    with_bare = name == PAPERS and precision == "32-true"
    seconds = time_steps(config, precision, repeats + 1, with_bare=with_bare)
    s = {step: statistics.median(values) for step, values in seconds.items()}
    what = f"{name}, {precision}"
    bars = [Bar(f"bare steps that a step takes: {what}", s[FIXED] / s[BARE], f"<= {OF_BARE:g}")] if with_bare else []
    bars.append(
        Bar(f"steps of a fixed batch that one of the loader takes: {what}", s[LOADER] / s[FIXED], f"<= {OF_FIXED:g}")
    )
    common = {"network": name, "precision": precision, "clips of 10 s": config.training.batch_size}
    rows = [
        {**common, "step": step, "s": s[step], "fastest": min(values), "slowest": max(values), "per_s": 1 / s[step]}
        for step, values in seconds.items()
    ]
    if ON_GPU:
        busy, gigabytes = watch_gpu(config, precision)
        rows = [{**row, **dict.fromkeys(("GPU busy", "GB"), "")} for row in rows]
        rows[list(seconds).index(LOADER)] |= {"GPU busy": f"{busy:.3f}", "GB": f"{gigabytes:.2f}"}
        bars.append(Bar(f"share of the time the GPU is busy: {what}", busy, f">= {BUSY:g}"))
    return rows, bars


def measure(repeats: int, batch: int):
    runs = list(itertools.product(NETWORKS, ["32-true", "bf16-mixed"]))
    if not ON_GPU:
        runs = [(PAPERS, "32-true")]
    rows, bars = [], []
    warnings.simplefilter("ignore")  # Lightning's own
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["HIERSEP_CACHE"] = str(Path(scratch) / "cache")
        folder = Path(scratch) / "songs"
        render(folder, SONGS)
        index_dataset(folder, store_channels=1)
        for name, precision in runs:
            config = ExperimentConfig(
                data=DataConfig(folder=str(folder)),
                network=NETWORKS[name],
                training=TrainingConfig(batch_size=batch, num_workers=WORKERS),
            )
            more_rows, more_bars = time_network(name, config, precision, repeats)
            rows += more_rows
            bars += more_bars
    return rows, bars


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--batch", type=int, default=25 if ON_GPU else 4)
    options, others = parser.parse_known_args(arguments)
    about = "Time training steps. Also: --batch N, clips of 10 s of a step (default: 4; 25 on a GPU)."
    return run(about, lambda repeats: measure(repeats, options.batch), repeats=7, arguments=others)


if __name__ == "__main__":
    sys.exit(main())
