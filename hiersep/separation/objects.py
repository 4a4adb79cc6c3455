"""The separators as nussl's separation objects: its composites and its evaluation take them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from hiersep.compat import nussl
from hiersep.errors import ConfigError, DataError
from hiersep.models.anchors import Anchor, is_unit
from hiersep.models.loading import load_separator
from hiersep.models.query import QuerySeparator
from hiersep.separation.files import open_source
from hiersep.separation.passage import RESIDUAL, Passage, choose_device, choose_nodes, resampled
from hiersep.separation.spans import Excerpt, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from hiersep.separation.settings import SeparationSettings


class NodeSeparation(nussl.separation.base.SeparationBase):
    """What the separators share: all but what the network is told beside the mixture; a base class.

    Args:
        mix: The mixture, an AudioSignal of any rate, length and number of channels, or an audio file's path.
        model: What `load_separator` takes.
        nodes: Names of the nodes wanted. Default: all that the network estimates.
        device: Where to run. Default: a GPU where there is one.
        residual: Give what the outermost of the nodes leave of the mixture as well.
        settings: How the mixture is cut, and more.

    Attributes:
        nodes: Names of the nodes wanted, coarse to fine.
    """

    def __init__(
        self,
        mix: Any,
        model: Any,
        *,
        nodes: Sequence[str] | None = None,
        device: str | None = None,
        residual: bool = False,
        settings: SeparationSettings | None = None,
    ):
        mix = _signal(mix, "mix")
        self.device = choose_device(device)
        self.model = load_separator(model)
        self._check_model()
        self.model.to(self.device).eval()
        self.nodes, self.residual, self.settings = choose_nodes(self.model, nodes), residual, settings
        super().__init__(mix)
        self.metadata["nodes"] = list(self.nodes)

    def _check_model(self) -> None:
        """Refuse a network of the wrong kind."""
        raise NotImplementedError

    @property
    def _condition(self) -> torch.Tensor | None:
        """What the network is told beside the mixture, (1, dim)."""
        return None

    def _preprocess_audio_signal(self) -> None:
        """Forget what belongs to the mixture before; nussl calls this whenever a mixture is set."""
        self._estimates: npt.NDArray[np.float32] | None = None
        self._result_masks: list[Any] | None = None

    def run(self) -> None:
        """Separate; `make_audio_signals` gives the estimates, `result_masks` the masks."""
        self._estimates = self._separated()

    def _separated(self) -> npt.NDArray[np.float32]:
        samples, passage = self.audio_signal.audio_data, self._passage()
        estimates = passage.whole(samples, self.audio_signal.sample_rate)
        if self.residual:
            estimates = np.concatenate([estimates, passage.residual(samples, estimates)[None]], dtype=np.float32)
        return estimates

    def _passage(self) -> Passage:
        return Passage(
            self.model, nodes=self.nodes, condition=self._condition, device=self.device, settings=self.settings
        )

    @property
    def result_masks(self) -> list[Any]:
        """One nussl SoftMask per node, ``(freq, frame, channel)``, at the *network's* rate and STFT.

        Estimated on first use, in the same segments as the audio.

        Raises:
            ConfigError: If the network's masks are complex; nussl has no such masks.
        """
        if self.model.complex_masks:
            raise ConfigError("result_masks: expected a network with real masks, got complex ones; use the estimates")
        if self._result_masks is None:
            signal = self.audio_signal
            mixture = resampled(signal.audio_data, signal.sample_rate, int(self.model.sample_rate))
            masks = np.concatenate(list(self._passage().masks(mixture)), axis=-1)  # (node, channel, freq, frame)
            self._result_masks = [nussl.core.masks.SoftMask(mask) for mask in masks.transpose(0, 2, 3, 1)]
        return self._result_masks

    def make_audio_signals(self) -> list[Any]:
        """Give the estimates, coarse to fine, at the mixture's rate, channels and exact length; separate if need be.

        The residual, where it is wanted, comes last.
        """
        if self._estimates is None:
            self._estimates = self._separated()
        return [self.audio_signal.make_copy_with_audio_data(estimate) for estimate in self._estimates]

    def to_dict(self) -> dict[str, Any]:
        """Give the estimates by node, and the residual, where it is wanted, by ``residual``; separate if need be."""
        names = [*self.nodes, *([RESIDUAL] if self.residual else [])]
        return dict(zip(names, self.make_audio_signals(), strict=True))


class HierarchicalSeparator(NodeSeparation):
    """Take a mixture apart at the levels of a path, or at the nodes of a tree, as a nussl separation object.

    Args:
        mix: The mixture, an AudioSignal of any rate, length and number of channels, or an audio file's path.
        model: A `PathSeparator` or a `TreeSeparator`, or a checkpoint's path or name; or several, of different nodes,
            in a list; a `JointSeparator`, or a `ForeignSeparator`.
        nodes: Ids of the nodes wanted. Default: all that the network estimates.
        device: Where to run: ``cpu``, ``cuda``, ``mps``. Default: a GPU where there is one.
        residual: Give what the outermost of the nodes leave of the mixture as well, last: these and it sum to it.
        settings: How the mixture is cut, and more.

    Attributes:
        nodes: Ids of the nodes wanted, coarse to fine.

    Raises:
        ConfigError: If there is no such device, or `model` is nothing that separates, or is asked by an example.
        HierarchyError: If the network does not estimate a wanted node.
        CheckpointError: If the checkpoint cannot be loaded.
        DataError: If the mixture cannot be read, or has no samples.

    Example:
        >>> separator = HierarchicalSeparator(
        ...     "song.wav", model="best.safetensors", nodes=["guitar"]
        ... )  # doctest: +SKIP
        >>> (guitar,) = separator()  # doctest: +SKIP
        >>> guitar.write_audio_to_file("guitar.wav")  # doctest: +SKIP
    """

    def _check_model(self) -> None:
        if isinstance(self.model, QuerySeparator):
            raise ConfigError(
                "model: expected a network of fixed nodes, got a QuerySeparator, which needs an example of what is "
                "wanted; use QueryByExampleSeparator(mix, query, model=...)"
            )


class QueryByExampleSeparator(NodeSeparation):
    """Take a mixture apart at the levels of the path that an example leads to, as a nussl separation object.

    Args:
        mix: The mixture, an AudioSignal of any rate, length and number of channels, or an audio file's path.
        query: The example, of any rate, length and number of channels: an AudioSignal or an audio file's path; or
            several of these, of the same sound, in a list; or an `Anchor`, or only its vector, (1, embedding_size).
        model: A `QuerySeparator`, or a checkpoint's path or name.
        nodes: Names of the levels wanted. Default: all that the network estimates.
        device: Where to run: ``cpu``, ``cuda``, ``mps``. Default: a GPU where there is one.
        residual: Give what the coarsest of the levels leaves of the mixture as well, last.
        settings: How the mixture is cut, and more.

    Attributes:
        nodes: Names of the levels wanted, coarse to fine.
        anchor: The query's anchor, found once; it serves any mixture.

    Raises:
        ConfigError: If there is no such device, the network is not one that is asked by an example, or the query is
            none of these things.
        HierarchyError: If the network does not estimate a wanted level.
        CheckpointError: If the checkpoint cannot be loaded, or the anchor is one of another query network.
        DataError: If mixture or query cannot be read or has no samples, or the query is silent.

    Example:
        >>> separator = QueryByExampleSeparator("song.wav", "guitar.wav", model="qbe.safetensors")  # doctest: +SKIP
        >>> separator.to_dict()["class"].write_audio_to_file("target.wav")  # doctest: +SKIP
    """

    def __init__(
        self,
        mix: Any,
        query: Any,
        *,
        model: Any,
        nodes: Sequence[str] | None = None,
        device: str | None = None,
        residual: bool = False,
        settings: SeparationSettings | None = None,
    ):
        super().__init__(mix, model, nodes=nodes, device=device, residual=residual, settings=settings)
        # As an array: nussl compares separation objects attribute by attribute, and a tensor is no truth value.
        self._anchor = find_anchor(cast("QuerySeparator", self.model), query).numpy(force=True)

    def _check_model(self) -> None:
        if not isinstance(self.model, QuerySeparator):
            raise ConfigError(
                f"model: expected a QuerySeparator, got a {type(self.model).__name__}, which takes no query; use "
                "HierarchicalSeparator(mix, model=...)"
            )

    @property
    def anchor(self) -> torch.Tensor:
        """The query's anchor, (1, embedding_size)."""
        return torch.from_numpy(self._anchor)

    @property
    def _condition(self) -> torch.Tensor | None:
        return self.anchor


def find_anchor(model: QuerySeparator, query: Any) -> torch.Tensor:
    """Make of whatever stands for a query the anchor that the network takes.

    Args:
        model: The network that listens.
        query: As `QueryByExampleSeparator` takes it.

    Shape:
        output: (1, embedding_size), in the weights' precision and on their device.

    Raises:
        CheckpointError: If it is the anchor of another query network.
        ConfigError: If it is nothing that stands for a query.
        DataError: If it cannot be read, has no samples, or is silent.
    """
    like = model.query_network.head.weight
    if isinstance(query, Anchor):
        query.check(model)
        query = query.vector
    size = model.query_config.embedding_size
    if isinstance(query, torch.Tensor):
        if query.shape != (1, size):
            raise ConfigError(f"query: expected an anchor, (1, {size}), got a tensor {tuple(query.shape)}")
        if not is_unit(query[0].tolist()):
            raise ConfigError(
                f"query: expected an anchor, {size} finite numbers of unit length, got {query.dtype} of length "
                f"{query.to(like).norm():.3g}; give what the network's `embed` gave"
            )
        return query.to(like)
    queries = query if isinstance(query, list | tuple) else [query]
    names = [_name(one, number) for number, one in enumerate(queries, 1)]
    signals = [_signal(one, name) for one, name in zip(queries, names, strict=True)]
    rate = int(model.sample_rate)
    examples = [torch.from_numpy(resampled(one.audio_data, one.sample_rate, rate)[:, :]) for one in signals]
    return Anchor.of(model, examples, names=names).vector


def _name(query: Any, number: int) -> str:
    if isinstance(query, Excerpt):
        return f"{query.path} at {query.span.start_s:g} s"
    return str(query) if isinstance(query, str | os.PathLike) else f"query {number}"


def _signal(sound: Any, name: str) -> Any:
    """Take an AudioSignal, or read one from a file, or from an excerpt of one; it has samples."""
    if isinstance(sound, str | os.PathLike):
        sound = Excerpt(Path(sound), Span())
    if isinstance(sound, Excerpt):
        with open_source(sound.path, sound.span) as source:
            samples, sample_rate = source.slices()[:, :], source.header.sample_rate
        sound = nussl.AudioSignal(audio_data_array=samples, sample_rate=sample_rate)
    if not isinstance(sound, nussl.AudioSignal):
        raise ConfigError(f"{name}: expected an AudioSignal or the path of an audio file, got {type(sound).__name__}")
    if not sound.has_data or not sound.signal_length:
        raise DataError(f"{name}: expected a sound with samples, got an empty AudioSignal")
    return sound
