"""Checkpoints that are safe to share: one safetensors file, its making told in JSON in the header.

The file holds the weights; the metadata key ``hiersep`` holds a format number, the name of the network's class, its
arguments (hierarchy and nodes among them) and its provenance. Nothing is ever unpickled, so loading a stranger's
file runs none of the stranger's code.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors

from hiersep import __version__
from hiersep.errors import CheckpointError, HiersepError
from hiersep.files import atomic_path

if TYPE_CHECKING:
    import os

    from hiersep.models.separator import MaskingSeparator

FORMAT = 1
_KEY = "hiersep"
# Where each network lives; looked up on loading, so that the networks may import this module.
_NETWORKS = {
    "PathSeparator": "hiersep.models.path",
    "QuerySeparator": "hiersep.models.query",
    "TreeSeparator": "hiersep.models.tree",
}


def save(model: MaskingSeparator, path: str | os.PathLike[str], provenance: dict[str, Any] | None = None) -> None:
    """Write a network as a checkpoint, atomically.

    Args:
        model: The network.
        path: Where to; by custom ``*.safetensors``.
        provenance: What to say of its making: data, steps, scores, licence. JSON-able.

    Raises:
        DataError: If the place cannot be written to.
    """
    about = {
        "format": FORMAT,
        "network": type(model).__name__,
        "arguments": model.get_model_args(),
        "provenance": {**(provenance or {}), "hiersep": __version__},
    }
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    from safetensors.torch import save as to_bytes

    with atomic_path(path) as temporary:
        temporary.write_bytes(to_bytes(weights, {_KEY: json.dumps(about)}))


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what a checkpoint says of itself, without its weights.

    Returns:
        ``{"format", "network", "arguments", "provenance"}``.

    Raises:
        CheckpointError: If there is no such file, or it is no checkpoint of this format.
    """
    path = Path(path)
    if not path.is_file():
        what = "got a folder" if path.is_dir() else "no such file"
        raise CheckpointError(
            f"{path}: expected a checkpoint (*.safetensors), {what}; name one that `hiersep train` wrote"
        )
    try:
        with safetensors.safe_open(str(path), framework="np") as file:
            metadata = file.metadata() or {}
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: expected a safetensors checkpoint, got something else or half of one ({error})"
        ) from error
    try:
        about = json.loads(metadata[_KEY])
        number = about["format"]
        # A hierarchy given by name would be read from a file that the checkpoint's author chose.
        known = (
            isinstance(about["network"], str)
            and about["network"] in _NETWORKS
            and isinstance(about["arguments"]["hierarchy"], dict)
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: these weights were not saved by hiersep: their header does not say of what network"
        ) from error
    if number != FORMAT or not known:
        raise CheckpointError(
            f"{path}: expected format {FORMAT} and a network of {', '.join(_NETWORKS)}; got format {number}, "
            f"{about['network']}; this is hiersep {__version__}, a newer one may read it"
        )
    return dict(about)


def from_pretrained(path: str | os.PathLike[str]) -> MaskingSeparator:
    """Load a network from a checkpoint file, on the CPU and in evaluation mode.

    Raises:
        CheckpointError: If the file cannot be read, or its weights do not fit the network that it names.
    """
    from safetensors.torch import load_file

    about = describe(path)
    network = getattr(importlib.import_module(_NETWORKS[about["network"]]), about["network"])
    try:
        model: MaskingSeparator = network(**about["arguments"])
        weights = load_file(str(path))
        model.load_state_dict(weights)
    except (HiersepError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()
        raise CheckpointError(
            f"{path}: the weights do not fit the network that the file names ({' '.join(reason[:2])})"
        ) from error
    model.eval()
    return model
