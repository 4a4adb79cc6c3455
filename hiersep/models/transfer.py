"""Begin a training with what another network learned, also where its hierarchy or its nodes are others.

Tensors of one name and shape are copied. The head's are copied row by row: it has a block of rows for each output,
and an output is known by its node (`PathSeparator`), its level (`QuerySeparator`), or its parent and its place below
it (`TreeSeparator`: a child's id, or the parent's remainder). The head's rows mean something only to the backbone that
they were learned with, and a sigmoid's nothing to a softmax; so they stay as they are unless the whole backbone was
taken over, and the network is of the same kind.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hiersep.errors import ConfigError
from hiersep.models.checkpoint import from_pretrained
from hiersep.models.tree import TreeSeparator

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from hiersep.models.separator import MaskingSeparator

_HEAD = "head."
_SHOWN = 6  # names in a line; more are counted


@dataclass(frozen=True)
class TakenOver:
    """What a network took over from another.

    Attributes:
        source: The checkpoint's name, or the class of the network that was given.
        tensors: Names of the tensors copied whole; the head's are not among them.
        outputs: The head's outputs whose rows were copied: nodes, levels, or what is left of a node.
        left: Names of tensors, and ``head: OUTPUT``, that stay as the network was made; each with the reason.
        unused: What of the source has no place in the network: tensors and ``head: OUTPUT``.
        settings: Settings of spectrum and networks that differ, which may explain the rest.
        values: How many values were copied.
        total: How many values the network has, statistics of normalisation included.
    """

    source: str
    tensors: tuple[str, ...]
    outputs: tuple[str, ...]
    left: tuple[tuple[str, str], ...]
    unused: tuple[str, ...]
    settings: tuple[str, ...]
    values: int
    total: int

    def lines(self) -> list[str]:
        """Say it to people, in a few lines."""
        share = round(100 * self.values / self.total)
        lines = [f"Taken over from {self.source}: {self.values:,} of {self.total:,} values ({share} %)"]
        lines.append(f"  taken over: {len(self.tensors)} tensors; of the head: {_some(self.outputs)}")
        reasons = Counter(reason for _, reason in self.left)
        for reason in reasons:
            lines.append(f"  as made: {_some([name for name, why in self.left if why == reason])} ({reason})")
        if self.unused:
            lines.append(f"  no place here: {_some(self.unused)}")
        lines += [f"  other setting: {setting}" for setting in self.settings]
        return lines


def take_over(model: MaskingSeparator, source: MaskingSeparator | str | os.PathLike[str]) -> TakenOver:
    """Initialise a network with the weights of another, as far as they fit.

    Args:
        model: Is changed in place. Sizes, kind and nodes may differ from the source's.
        source: The other network, or its checkpoint: a path, a shipped name or a hub name.

    Returns:
        What was taken over, what was not, and why.

    Raises:
        CheckpointError: If the checkpoint cannot be loaded.
        ConfigError: If the two hear other frequencies (sample rate, STFT size), or no weight of the backbone fits.

    Example:
        >>> from hiersep import PathSeparator
        >>> sizes = {"hidden_size": 4, "num_layers": 1}
        >>> learned = PathSeparator("musdb18", ["vocals"], network=sizes)
        >>> for line in take_over(PathSeparator("musdb18", ["drums"], network=sizes), learned).lines():
        ...     print(line)
        Taken over from a PathSeparator: 18,661 of 23,278 values (80 %)
          taken over: 13 tensors; of the head: nothing
          as made: head: drums (not in the source)
          no place here: head: vocals
    """
    if isinstance(source, str | os.PathLike):
        name, source = os.fspath(source), from_pretrained(source)
    else:
        name = f"a {type(source).__name__}"
    _refuse_other_bins(model, source, name)
    state, theirs = model.state_dict(), source.state_dict()
    body = [key for key in state if not key.startswith(_HEAD)]
    missing = [key for key in theirs if not key.startswith(_HEAD) and key not in state]
    left = {key: reason for key in body if (reason := _misfit(state[key], theirs.get(key)))}
    taken = [key for key in body if key not in left]
    if not any(map(_in_backbone, taken)):
        here, there = (f"{m.network_config.backbone} {m.network_config.sizes()}" for m in (model, source))
        raise ConfigError(
            f"{name}: expected a network of which something fits, got {there}, of which nothing does in {here}; "
            "choose another source, or its backbone and sizes"
        )
    model.load_state_dict({**state, **{key: theirs[key] for key in taken}})
    reason = _other_head(model, source, whole=not any(map(_in_backbone, [*left, *missing])))
    mine, other = _outputs(model), _outputs(source)
    shared = [] if reason else [output for output in mine if output in other]
    for output in shared:
        _copy_rows(model, mine.index(output), source, other.index(output))
    rows = sum(tensor.numel() for tensor in model.head.parameters()) // len(mine)
    return TakenOver(
        source=name,
        tensors=tuple(taken),
        outputs=tuple(shared),
        left=(*left.items(), *((f"head: {o}", reason or "not in the source") for o in mine if o not in shared)),
        unused=(*missing, *(f"head: {o}" for o in other if o not in shared)),
        settings=tuple(_differences(model.get_model_args(), source.get_model_args())),
        values=sum(state[key].numel() for key in taken) + rows * len(shared),
        total=sum(tensor.numel() for tensor in state.values()),
    )


def _refuse_other_bins(model: MaskingSeparator, source: MaskingSeparator, name: str) -> None:
    """Refuse a network to which the same place of a spectrum is another frequency."""
    mine, other = ((m.sample_rate, m.spectrum_config.n_fft) for m in (model, source))
    if mine != other:
        raise ConfigError(
            f"{name}: expected a network for {mine[0]} Hz with n_fft {mine[1]}, got one for {other[0]} Hz with n_fft "
            f"{other[1]}, whose bins are other frequencies; set data.sample_rate and spectrum.n_fft to the source's"
        )


def _misfit(mine: torch.Tensor, other: torch.Tensor | None) -> str:
    """Why a tensor cannot be taken over; empty if it can."""
    if other is None:
        return "not in the source"
    return "" if mine.shape == other.shape else f"{tuple(mine.shape)} here, {tuple(other.shape)} there"


def _in_backbone(key: str) -> bool:
    return key.startswith("backbone.")


def _other_head(model: MaskingSeparator, source: MaskingSeparator, *, whole: bool) -> str:
    """Why no row of the head can be taken over; empty if those of shared outputs can."""
    if type(model) is not type(source):
        return f"rows of a {type(source).__name__}"
    return "" if whole else "its rows belong to another backbone"


def _copy_rows(model: MaskingSeparator, output: int, source: MaskingSeparator, learned: int) -> None:
    """Copy one output's rows of the head; its outputs stand one after the other."""
    rows = len(model.head.bias) // len(_outputs(model))
    for mine, other in zip(model.head.parameters(), source.head.parameters(), strict=True):
        mine.detach()[output * rows : (output + 1) * rows] = other.detach()[learned * rows : (learned + 1) * rows]


def _outputs(model: MaskingSeparator) -> list[str]:
    """Name the head's outputs, in its order, so that those that mean the same are called the same."""
    if not isinstance(model, TreeSeparator):
        return list(model.nodes)
    return [
        name
        for parent, _, children in model.branchings
        for name in (*(f"{model.nodes[child]} in {parent}" for child in children), f"rest of {parent}")
    ]


def _differences(mine: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    """Name the settings of spectrum and networks that differ."""
    for section in ("spectrum", "network", "query"):
        here, there = mine.get(section, {}), other.get(section, {})
        for key in here:
            if key in there and here[key] != there[key]:
                yield f"{section}.{key}: {here[key]} here, {there[key]} there"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "nothing") + more
