"""Anchors made once and kept: what the query network makes of one or several examples, in a small JSON file.

The queries of one sound are embedded one by one, so they may differ in length, and their anchors are averaged, each
with the same weight. An anchor means something only to the query network that made it; so the file carries a
fingerprint of that network, and another refuses it. Floats are written so that they come back bit by bit.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hiersep import __version__
from hiersep.errors import CheckpointError, DataError
from hiersep.files import fingerprint, write_json
from hiersep.models.query import average_anchors

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from typing_extensions import Self

    from hiersep.models.query import QuerySeparator

FORMAT = 1
# Of a file; an anchor of 4096 dimensions and the names of hundreds of queries stay far below it.
MOST_BYTES = 1_000_000
# Of the length, next to 1: more than rounding makes, less than any other vector is likely to have.
_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Anchor:
    """The anchor of a sound, and of what it was made.

    Attributes:
        vector: What a `QuerySeparator` takes as ``anchor``.
        network: Fingerprint of the query network that made it.
        queries: Names of the examples.

    Shape:
        vector: (1, embedding_size), of unit length.

    Example:
        >>> from hiersep import QuerySeparator
        >>> sizes = {"hidden_size": 4, "num_layers": 1}
        >>> model = QuerySeparator("slakh34", network=sizes, query=sizes).eval()
        >>> anchor = Anchor.of(model, [torch.ones(1, 16000), torch.ones(2, 500)])
        >>> model(torch.zeros(1, 1, 1000), anchor=anchor.vector).shape
        torch.Size([1, 3, 1, 1000])
    """

    vector: torch.Tensor
    network: str
    queries: tuple[str, ...]

    @classmethod
    def of(cls, model: QuerySeparator, queries: Sequence[torch.Tensor], *, names: Sequence[str] | None = None) -> Self:
        """Make one anchor of several examples of a sound, as in evaluation, and without a gradient.

        Args:
            model: The separator whose query network listens.
            queries: Examples at the network's sample rate, of any length and number of channels; tensors or arrays.
            names: Of the examples, to be kept. Default: their numbers.

        Shape:
            queries: (channel, time) each.

        Raises:
            DataError: If there are no queries, one is silent or not (channel, time), or they cancel each other.
        """
        names = [f"query {number}" for number in range(1, len(queries) + 1)] if names is None else names
        if not queries or len(names) != len(queries):
            raise DataError(f"queries: expected one or more, each with a name; got {len(queries)}, {len(names)} names")
        network, like = model.query_network, model.query_network.head.weight
        training = network.training
        network.eval()
        try:
            with torch.no_grad():
                anchors = [
                    _embed(model, torch.as_tensor(query).to(like), name)
                    for query, name in zip(queries, names, strict=True)
                ]
        finally:
            network.train(training)
        vector = average_anchors(torch.cat(anchors))
        if not is_unit(vector[0].tolist()):
            raise DataError(
                f"queries: expected examples of one sound, got ones whose anchors cancel ({', '.join(names)}); "
                "leave some out"
            )
        # A file's name may hold bytes that are no text; JSON may not.
        texts = tuple(name.encode(errors="replace").decode() for name in names)
        return cls(vector, network_fingerprint(model), texts)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the anchor as JSON, atomically.

        Args:
            path: Where to; by custom ``*.json``.

        Raises:
            DataError: If the place cannot be written to, or the names make the file too large to be read again.
        """
        about = {
            "format": FORMAT,
            "hiersep": __version__,
            "network": self.network,
            "queries": list(self.queries),
            "vector": self.vector[0].tolist(),
        }
        size = len(json.dumps(about))
        if size > MOST_BYTES // 2:  # white space in the file may double it
            raise DataError(
                f"{path}: expected names of the queries in {MOST_BYTES // 2} bytes, got {size}; shorten them"
            )
        write_json(path, about)

    @classmethod
    def load(cls, path: str | os.PathLike[str], model: QuerySeparator) -> Self:
        """Read an anchor and make sure that it is one of this network.

        Args:
            path: The file.
            model: The separator that it shall serve; the vector comes on its device.

        Raises:
            CheckpointError: If the file cannot be read, is no anchor, or is one of another network.
        """
        about = _read(Path(path))
        size, vector, queries = model.query_config.embedding_size, about.get("vector"), about.get("queries")
        if about.get("network") != network_fingerprint(model):
            raise CheckpointError(f"{path}: {_ANOTHER}")
        if not isinstance(vector, list) or len(vector) != size or not is_unit(vector):
            raise CheckpointError(
                f"{path}: expected {size} finite numbers of unit length for an anchor, got something else; "
                "make the anchor again from its queries"
            )
        if not isinstance(queries, list) or not all(isinstance(name, str) for name in queries):
            raise CheckpointError(
                f"{path}: expected the queries' names as a list, got something else; make the anchor again"
            )
        like = model.query_network.head.weight
        return cls(torch.tensor([vector], dtype=like.dtype, device=like.device), about["network"], tuple(queries))

    def check(self, model: QuerySeparator) -> None:
        """Make sure that the anchor is one of this separator's query network.

        Raises:
            CheckpointError: If it is not.
        """
        if self.network != network_fingerprint(model):
            raise CheckpointError(f"anchor: {_ANOTHER}")


_ANOTHER = (
    "expected an anchor of this separator's query network, got one of another network; "
    "make it again from its queries, with this one"
)


def network_fingerprint(model: QuerySeparator) -> str:
    """Digest all that an anchor depends on: weights of the query network, STFT, rate, and which bins count as present.

    The masking network has no part in it. The device has none either.
    """
    weights = {
        name: [list(tensor.shape), hashlib.sha256(_raw_bytes(tensor)).hexdigest()]
        for name, tensor in model.query_network.state_dict().items()
    }
    return fingerprint(
        {
            "sample_rate": model.sample_rate,
            "spectrum": model.spectrum_config.to_dict(),
            "presence_db": model.query_config.presence_db,
            "weights": weights,
        }
    )


def _raw_bytes(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()


def _embed(model: QuerySeparator, query: torch.Tensor, name: str) -> torch.Tensor:
    if query.ndim != 2:
        raise DataError(f"{name}: expected a waveform (channel, time), got {tuple(query.shape)}")
    try:
        return model.embed(query[None])
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def is_unit(vector: Sequence[Any]) -> bool:
    """Whether these are floats, finite, and the vector's length is 1."""
    # A JSON integer may be too large for a float; we write none.
    return all(isinstance(value, float) for value in vector) and abs(math.hypot(*vector) - 1) < _TOLERANCE


def _read(path: Path) -> dict[str, Any]:
    """Read a stranger's file: bounded, and whatever is wrong with it said in one line."""
    if not path.is_file():
        what = "got a folder" if path.is_dir() else "no such file"
        raise CheckpointError(f"{path}: expected an anchor (*.json), {what}; name one that hiersep wrote")
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); name an anchor that can") from error
    if len(content) > MOST_BYTES:
        raise CheckpointError(f"{path}: expected an anchor of at most {MOST_BYTES} bytes, got more; name another file")
    try:
        about = json.loads(content)
        number = about["format"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: expected an anchor that hiersep wrote, got something else") from error
    if not isinstance(number, int) or number != FORMAT:
        got = number if isinstance(number, int) else "none"
        raise CheckpointError(
            f"{path}: expected an anchor of format {FORMAT}, got {got}; this is hiersep {__version__}, "
            "a newer one may read it"
        )
    return dict(about)
