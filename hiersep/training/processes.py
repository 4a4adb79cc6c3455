"""A training spread over processes, on one machine or several: which of them this is, and what it takes of the data.

Lightning starts the processes, by the command that started the first one; or torchrun or SLURM do. Each process takes
every n-th item of a batch, and of the validation set, so that together they take each once.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from hiersep.files import scratch_folder
from hiersep.typed import expect

_LONGEST_FOLDER = 80  # bytes of a folder of sockets: the path of one has 108 at most, and 104 on macOS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hiersep.config import TrainingConfig


class Share(NamedTuple):
    """What a process takes.

    Attributes:
        rank: Which process this is, from 0.
        processes: How many there are.
    """

    rank: int = 0
    processes: int = 1

    def of(self, items: range) -> range:
        """Take every n-th item.

        Example:
            >>> list(Share(1, 2).of(range(5)))
            [1, 3]
        """
        return items[self.rank :: self.processes]


ALONE = Share()


def is_first(settings: TrainingConfig) -> bool:
    """Say whether this process is the one that writes the files, before Lightning is there to say so.

    torchrun sets RANK; Lightning LOCAL_RANK, beside the NODE_RANK that it is told; SLURM its own, also where it starts
    one process for each of several trainings.
    """
    if settings.devices == 1 and settings.nodes == 1:
        return True
    names = ["RANK"] if "RANK" in os.environ else ["LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"]
    return all(int(os.environ.get(name, "0")) == 0 for name in names)


def check_started(processes: int) -> None:
    """Refuse to be one of several processes that torchrun started, and to train alone.

    Args:
        processes: That train together.

    Raises:
        ConfigError: If torchrun started another number.
    """
    started = int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else processes
    expected = f"the {started} processes that torchrun started"
    expect(started == processes, "training.devices times training.nodes", expected, processes)


@contextlib.contextmanager
def sockets_kept() -> Iterator[None]:
    """Let workers that are started in the block have their sockets where they are removed after a kill, too.

    A worker hands its batches over through a socket, for which multiprocessing makes a folder in the system's place for
    temporary files; what a kill leaves there nobody removes.
    """
    config = vars(multiprocessing.current_process())["_config"]
    before = config.get("tempdir")
    with scratch_folder() as folder:
        if len(os.fsencode(folder)) < _LONGEST_FOLDER:
            config["tempdir"] = str(folder)
        try:
            yield
        finally:
            config["tempdir"] = before


def placement(settings: TrainingConfig) -> dict[str, Any]:
    """Tell Lightning's Trainer where to train; it chooses DistributedDataParallel where there are several processes.

    Batch normalisation measures the whole batch on GPUs. torch cannot do that on a CPU: there each process measures its
    own share, and the first one's running statistics are kept.
    """
    import torch

    on_gpu = settings.device in ("auto", "gpu") and torch.cuda.is_available()
    return {
        "accelerator": settings.device,
        "devices": settings.devices,
        "num_nodes": settings.nodes,
        "sync_batchnorm": on_gpu,
        "use_distributed_sampler": False,
    }
