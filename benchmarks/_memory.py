"""How memory grows while two workers make many items."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

from torch.utils.data import DataLoader

WARM_UP, WORKERS = 500, 2


def anonymous_mb() -> float:
    """Anonymous memory of this process and its children, in MB."""
    total = 0
    for pid in (os.getpid(), *(child.pid for child in multiprocessing.active_children())):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
    return total / 1024


def memory_growth(dataset, items: int) -> float:
    """Most MB of anonymous memory that all processes have more, after the first items, than they had then."""
    loader = DataLoader(dataset, batch_size=None, num_workers=WORKERS)
    first = min(WARM_UP, items // 2)
    grown, base = 0.0, 0.0
    for number, _ in enumerate(loader):
        if number == first:
            base = anonymous_mb()
        elif number > first and number % 100 == 0:
            grown = max(grown, anonymous_mb() - base)
    return grown
