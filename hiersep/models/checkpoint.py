"""Checkpoints that are safe to share: one safetensors file, its making told in JSON in the header.

Nothing is ever unpickled, so loading a stranger's file runs none of the stranger's code. Nor does a header that lies
cost memory or time: it is read by the rules of `header`, and its tensors are compared with those of the network that
it names before one of them is made.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
from typing import TYPE_CHECKING, Any

from hiersep import __version__
from hiersep.config import NetworkConfig
from hiersep.errors import CheckpointError, ConfigError, HiersepError, printable
from hiersep.files import atomic_path
from hiersep.models.header import FORMAT, KEY, MAX_BYTES, NETWORKS, Header, check_about, read_header
from hiersep.models.locating import locate

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import torch

    from hiersep.models.separator import MaskingSeparator

_FLOATS = ("F32", "F16", "BF16")
LARGEST_WEIGHT = 1e9  # in magnitude: far above what is learned, and far below what overflows in a layer or two


def save(
    model: MaskingSeparator,
    path: str | os.PathLike[str],
    provenance: dict[str, Any] | None = None,
    *,
    half: bool = False,
) -> None:
    """Write a network as a checkpoint, atomically.

    Args:
        model: The network.
        path: Where to; by custom ``*.safetensors``.
        provenance: What to say of its making: data, steps, scores, licence, a ``description`` in a line. JSON-able.
        half: Store the parameters in half precision, in half the space. They are rounded to 11 significant bits, by at
            most 0.05 %, and below 6e-5 by more; loaded, they are single precision again.

    Raises:
        CheckpointError: If the provenance cannot be written as JSON, or a weight is not finite (in half precision: as
            large as 65520).
        DataError: If the place cannot be written to.
    """
    about = {
        "format": FORMAT,
        "network": type(model).__name__,
        "arguments": model.get_model_args(),
        "provenance": {**(provenance or {}), "hiersep": __version__},
    }
    try:
        metadata = {KEY: json.dumps(check_about(about, path), allow_nan=False)}
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error, HiersepError):
            raise
        raise CheckpointError(f"{path}: expected a provenance that JSON can hold, got another ({error})") from error
    parameters = {name for name, _ in model.named_parameters()}
    weights = {
        name: (tensor.half() if half and name in parameters else tensor).detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
    }
    _refuse_unusable(weights, path)
    from safetensors.torch import save as to_bytes

    content = to_bytes(weights, metadata)
    length = int.from_bytes(content[:8], "little")
    if length > MAX_BYTES:
        raise CheckpointError(
            f"{path}: expected a header of at most {MAX_BYTES} bytes, got {length}; shorten hierarchy or provenance"
        )
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def describe(name: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what a checkpoint says of itself, without its weights.

    Args:
        name: What `hiersep.models.locating.locate` takes: a path, a shipped name or a hub name.

    Returns:
        ``{"format", "network", "arguments", "provenance"}``.

    Raises:
        CheckpointError: If there is no such file, or it is no checkpoint of this format.
    """
    return read_header(locate(name)).about


def from_pretrained(name: str | os.PathLike[str]) -> MaskingSeparator:
    """Load a network from a checkpoint file, on the CPU, in single precision and in evaluation mode.

    Args:
        name: A path, a shipped name (see `list_pretrained`), or one on the Hugging Face hub,
            ``user/model[@revision][:file.safetensors]``; of which nothing but this one file is downloaded.

    Raises:
        CheckpointError: If the file cannot be read, or its weights do not fit the network that it names.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    header = read_header(locate(name))
    _refuse_misfits(header)
    with torch.random.fork_rng(devices=[]):  # the weights that it draws are thrown away
        model = _make(header)
    try:
        weights = load_file(header.path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{header.path}: cannot be read ({printable(error)})") from error
    _refuse_unusable(weights, header.path)
    model.load_state_dict(weights)
    model.eval()
    return model


def weights_digest(model: torch.nn.Module) -> str:
    """Digest all weights of a network, or of several in one, wherever they lie."""
    from safetensors.torch import save as to_bytes

    weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    return hashlib.sha256(to_bytes(weights)).hexdigest()


def _make(header: Header) -> MaskingSeparator:
    name, arguments = header.about["network"], header.about["arguments"]
    try:
        network = getattr(importlib.import_module(NETWORKS[name]), name)
        model: MaskingSeparator = network(**arguments)
    except (HiersepError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise _unfit(header, printable(" ".join(str(error).splitlines()[:2]))) from error
    return model


def _refuse_misfits(header: Header) -> None:
    """Compare the file's tensors with those of the network it names, made of shapes alone (torch's ``meta`` device).

    A network of the shapes that the header tells of takes no more memory than the file does (twice, if in half
    precision), as they fill the file.
    """
    import torch

    try:
        sizes = NetworkConfig.of(header.about["arguments"].get("network"))
    except (ConfigError, TypeError, ValueError) as error:
        raise _unfit(header, printable(error)) from error
    # Making thousands of layers takes seconds, even of shapes; each has tensors of its own.
    if (sizes.num_layers or 1) * (sizes.num_repeats or 1) > len(header.tensors):
        raise _unfit(header, f"{len(header.tensors)} tensors for more layers than that")
    with torch.device("meta"):
        expected = _make(header).state_dict()
    missing, superfluous = expected.keys() - header.tensors.keys(), header.tensors.keys() - expected.keys()
    misfits = [f"no {name}" for name in sorted(missing)] + [f"a strange {name}" for name in sorted(superfluous)]
    for name in sorted(expected.keys() & header.tensors.keys()):
        wanted, stored = expected[name], header.tensors[name]
        dtypes = _FLOATS if wanted.is_floating_point() else ("I64",)
        if stored.dtype not in dtypes or stored.shape != tuple(wanted.shape):
            misfits.append(f"{name} as {stored.dtype} {stored.shape}, expected {dtypes[0]} {tuple(wanted.shape)}")
    if misfits:
        more = f" and {len(misfits) - 1} more" if len(misfits) > 1 else ""
        raise _unfit(header, printable(f"{misfits[0]}{more}"))


def _refuse_unusable(weights: Mapping[str, torch.Tensor], path: str | os.PathLike[str]) -> None:
    """Refuse NaN and infinity, of which a network makes nothing but more of them, and what soon becomes either."""
    for name, tensor in weights.items():
        if name.rpartition(".")[2] == "running_var" and bool((tensor < 0).any()):  # batch normalisation takes its root
            got = f"{float(tensor.min()):g} in {name}"
            raise CheckpointError(f"{path}: expected variances from 0 on, got {got}; the file is damaged")
        largest = float(tensor.abs().max()) if tensor.is_floating_point() and tensor.numel() else 0.0  # NaN, if one is
        if not largest <= LARGEST_WEIGHT:
            got = f"{largest:.3g}" if math.isfinite(largest) else "NaN or infinity"
            raise CheckpointError(
                f"{path}: expected finite weights of at most {LARGEST_WEIGHT:g}, got {got} in {name} ({tensor.dtype}); "
                "the training diverged, or the weights are too large for this precision"
            )


def _unfit(header: Header, reason: str) -> CheckpointError:
    return CheckpointError(f"{header.path}: the weights do not fit the network that the file names ({reason})")
