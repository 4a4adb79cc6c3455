"""How an experiment learns: the loss, the schedule, the stages, and what a step is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hiersep.config.sections import Section
from hiersep.typed import expect


@dataclass(frozen=True)
class StageConfig(Section):
    """A part of a training in which only some nodes are learned; `hiersep.training.stages` says what is frozen.

    Attributes:
        nodes: Nodes whose losses count; levels, for queries.
        epochs: How long; None in the last stage, which takes the rest.
        trunk: Whether all that is below the head learns too.
    """

    nodes: list[str]
    epochs: int | None = None
    trunk: bool = True

    def __post_init__(self) -> None:
        epochs = self.epochs
        expect(epochs is None or epochs > 0, "training.stages: epochs", "a positive number", epochs)
        expect(len(set(self.nodes)) == len(self.nodes), "training.stages: nodes", "each node once", self.nodes)


@dataclass(frozen=True)
class TrainingConfig(Section):
    """How to learn; the defaults are the paper's.

    Attributes:
        loss: ``phase_sensitive_l1`` (the paper's), or one on waveforms: ``negative_snr``, ``negative_si_sdr``,
            ``l1_multi_resolution``; `hiersep.losses` says what each means.
        silent_targets: ``learn``: a node that is silent in an item is pulled to silence there; ``skip``: it has no loss
            there. In a tree its siblings, which share their parent with it, then say alone that it is silent: a node
            that seldom sounds is not pulled to silence for good.
        batch_size: Mixtures per batch, of all processes together.
        accumulate: Batches per step of the optimizer.
        max_epochs: Epochs at most.
        max_minutes: Wall-clock limit; None for none.
        learning_rate: Of Adam.
        weight_decay: A step takes this, times the learning rate, off every weight, as a share of it (AdamW).
        schedule: ``plateau`` (the paper's) halves the learning rate when the validation loss stops falling; ``cosine``
            lets it fall to 0 over all epochs, for a training whose length is fixed beforehand.
        patience: Epochs without a better validation loss that ``plateau`` lets pass; after one more it halves.
        reload: Go on from the best network when ``plateau`` halves, with Adam's moments begun anew.
        early_stop: Stop after so many epochs without a better validation loss; None: never.
        stages: Nodes learned one after the other; None: all at once.
        clip_percentile: AutoClip's percentile of gradient norms.
        ema: Decay of a moving average of the weights, which is then what is validated and kept; None: no average.
        precision: 32, or ``bf16``: networks in bfloat16 where torch holds that safe; STFT and losses stay in float32.
        compile: Compile the backbone by ``torch.compile``; ``tdconvnet`` and ``bandsplit`` only.
        init_from: Checkpoint whose weights are taken over as far as they fit; None: none.
        save_every: Steps between two saved states, from which an interrupted training goes on.
        num_workers: Processes that make the mixtures to learn from; 0 makes them in the training process, as the
            clips of the validation always are.
        device: Lightning's accelerator: ``auto``, ``cpu``, ``gpu``, ``mps``.
        devices: GPUs, or processes on a CPU, of each machine; ``auto``: all GPUs.
        nodes: Machines.
        tensorboard: Write curves, mask pictures and sound for TensorBoard.
        seed: Of all draws.
    """

    loss: Literal["phase_sensitive_l1", "negative_snr", "negative_si_sdr", "l1_multi_resolution"] = "phase_sensitive_l1"
    silent_targets: Literal["learn", "skip"] = "learn"
    batch_size: int = 25
    accumulate: int = 1
    max_epochs: int = 100
    max_minutes: float | None = None
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    schedule: Literal["plateau", "cosine"] = "plateau"
    patience: int = 5
    reload: bool = False
    early_stop: int | None = None
    stages: list[StageConfig] | None = None
    clip_percentile: float = 10.0
    ema: float | None = None
    precision: Literal[32, "bf16"] = 32
    compile: bool = False
    init_from: str | None = None
    save_every: int = 200
    num_workers: int = 2
    device: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    devices: int | Literal["auto"] = 1
    nodes: int = 1
    tensorboard: bool = True
    seed: int = 588

    def __post_init__(self) -> None:
        for name in ("batch_size", "accumulate", "max_epochs", "save_every"):
            expect(getattr(self, name) > 0, f"training.{name}", "a positive number", getattr(self, name))
        rate, decay, percentile = self.learning_rate, self.weight_decay, self.clip_percentile
        expect(0 < rate < 1, "training.learning_rate", "between 0 and 1", rate)
        expect(0 <= decay < 1, "training.weight_decay", "a number in [0, 1)", decay)
        expect(self.patience >= 0, "training.patience", "0 or more epochs", self.patience)
        expect(0 < percentile <= 100, "training.clip_percentile", "a percentile in (0, 100]", percentile)
        expect(self.ema is None or 0 < self.ema < 1, "training.ema", "a decay between 0 and 1", self.ema)
        expect(0 <= self.num_workers <= 256, "training.num_workers", "0 to 256 processes", self.num_workers)
        expect(0 <= self.seed < 2**32, "training.seed", "a whole number in [0, 2^32)", self.seed)
        devices, nodes = self.devices, self.nodes
        expect(devices == "auto" or devices > 0, "training.devices", "auto, or a positive number", devices)
        expect(nodes > 0, "training.nodes", "a positive number", nodes)
        minutes, stop = self.max_minutes, self.early_stop
        expect(minutes is None or minutes > 0, "training.max_minutes", "more than 0", minutes)
        expect(stop is None or stop > 0, "training.early_stop", "a positive number of epochs", stop)
        self._check_contradictions()
        self._check_stages()

    def _check_contradictions(self) -> None:
        if self.schedule == "cosine":
            expected = "null, as the schedule cosine ends with the epochs"
            expect(self.early_stop is None, "training.early_stop", expected, self.early_stop)
            expect(not self.reload, "training.reload", "false, as only the schedule plateau reloads", self.reload)
        elif self.reload and self.early_stop is not None:
            expected = f"more than training.patience, {self.patience}, or nothing is ever reloaded"
            expect(self.early_stop > self.patience, "training.early_stop", expected, self.early_stop)
        if self.stages:
            expected = "null, as the stages say how long to train"
            expect(self.early_stop is None, "training.early_stop", expected, self.early_stop)

    def _check_stages(self) -> None:
        lengths = [stage.epochs for stage in self.stages or []]
        if lengths:
            expected = "a number of epochs for each but the last, which takes the rest of max_epochs"
            expect(None not in lengths[:-1] and lengths[-1] is None, "training.stages", expected, lengths)
            total = sum(length for length in lengths if length is not None)
            expected = f"fewer epochs before the last stage than max_epochs ({self.max_epochs})"
            expect(total < self.max_epochs, "training.stages", expected, total)
