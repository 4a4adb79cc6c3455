"""hiersep: take a mixture apart at several levels of an instrument hierarchy at once.

`hierarchy` says which stems sum to which node; `data` turns multitracks into mixtures with exact submixes;
`render` makes multitracks from MIDI; `models`, `losses`, `metrics` and `training` learn masks; `separation`
applies them; `evaluation` scores them. Public names load on first use (PEP 562): ``from hiersep import
Hierarchy`` loads neither torch nor nussl.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hiersep.errors import HiersepError

if TYPE_CHECKING:
    from hiersep.data.catalog import open_dataset
    from hiersep.data.dataset import HierarchicalMixtureDataset
    from hiersep.evaluation import evaluate
    from hiersep.hierarchy import Hierarchy
    from hiersep.models.checkpoint import from_pretrained
    from hiersep.models.locating import list_pretrained
    from hiersep.models.path import PathSeparator
    from hiersep.models.query import QuerySeparator
    from hiersep.models.tree import TreeSeparator
    from hiersep.separation import HierarchicalSeparator, QueryByExampleSeparator
    from hiersep.training.experiment import train

__version__ = "0.1.0"

_HOMES = {
    "HierarchicalMixtureDataset": "hiersep.data.dataset",
    "HierarchicalSeparator": "hiersep.separation",
    "Hierarchy": "hiersep.hierarchy",
    "PathSeparator": "hiersep.models.path",
    "QueryByExampleSeparator": "hiersep.separation",
    "QuerySeparator": "hiersep.models.query",
    "TreeSeparator": "hiersep.models.tree",
    "evaluate": "hiersep.evaluation",
    "from_pretrained": "hiersep.models.checkpoint",
    "list_pretrained": "hiersep.models.locating",
    "open_dataset": "hiersep.data.catalog",
    "train": "hiersep.training.experiment",
}

__all__ = [
    "HierarchicalMixtureDataset",
    "HierarchicalSeparator",
    "Hierarchy",
    "HiersepError",
    "PathSeparator",
    "QueryByExampleSeparator",
    "QuerySeparator",
    "TreeSeparator",
    "__version__",
    "evaluate",
    "from_pretrained",
    "list_pretrained",
    "open_dataset",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hiersep' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
