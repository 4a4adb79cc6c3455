"""Checkpoints and anchors from strangers."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import torch
from hypothesis import strategies as st

from fuzz.contents import spoiled_bytes
from fuzz.documents import PLAIN_ODD, as_json, spoiled, written
from fuzz.judging import Door
from hiersep.models import checkpoint
from hiersep.models.anchors import Anchor
from hiersep.models.checkpoint import describe, from_pretrained
from hiersep.models.path import PathSeparator
from hiersep.models.query import QuerySeparator
from hiersep.models.tree import TreeSeparator

if TYPE_CHECKING:
    from pathlib import Path

TREE = {
    "name": "x",
    "levels": ["mixture", "family", "class"],
    "tree": {"mixture": [{"guitar": ["clean", "loud"]}, "drums"]},
}
SIZES = {"spectrum": {"n_fft": 32, "hop_length": 8}, "sample_rate": 8000}
BLSTM = {"hidden_size": 2, "num_layers": 1, "dropout": 0.0}
OTHERS: tuple[dict[str, Any], ...] = (
    {"backbone": "tdconvnet", "width": 2, "hidden_size": 2, "num_layers": 1, "num_repeats": 1},
    {"backbone": "dprnn", "width": 2, "hidden_size": 2, "num_repeats": 1, "chunk_size": 4},
    {"backbone": "bandsplit", "width": 4, "hidden_size": 4, "num_layers": 1, "num_heads": 2, "num_bands": 4},
)


def _files(folder: Path) -> tuple[list[bytes], QuerySeparator]:
    torch.manual_seed(0)
    query = QuerySeparator(
        TREE, network=BLSTM, query={"hidden_size": 2, "num_layers": 1, "dropout": 0.0, "embedding_size": 3}, **SIZES
    )
    networks = [
        PathSeparator(TREE, ["guitar", "clean"], network=BLSTM, **SIZES),
        TreeSeparator(TREE, network=OTHERS[0], **SIZES),
        query,
        *(PathSeparator(TREE, ["drums"], network=sizes, **SIZES) for sizes in OTHERS[1:]),
    ]
    path = folder / "made.safetensors"
    contents = []
    for network in networks:
        checkpoint.save(network.eval(), path, {"data": "Slakh", "steps": 7, "licence": "MIT"})
        contents.append(path.read_bytes())
    return contents, query.eval()


def taken_apart(content: bytes) -> dict[str, Any]:
    """A checkpoint as a document, what it says of the network included; and its tensors."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    return {
        "about": json.loads(header.pop("__metadata__")["hiersep"]),
        "tensors": header,
        "body": content[8 + length :],
    }


def put_together(about: object, tensors: object, body: bytes, length: int | None = None) -> bytes:
    header = tensors if not isinstance(tensors, dict) else {"__metadata__": {"hiersep": as_json(about)}, **tensors}
    text = as_json(header).encode("utf-8", "replace")
    return struct.pack("<Q", len(text) if length is None else length) + text + body


@st.composite
def checkpoints(draw, files: list[bytes]) -> bytes:
    """A checkpoint of which the words or the tensors were changed."""
    parts = taken_apart(draw(st.sampled_from(files)))
    body = bytearray(parts["body"])
    kind = draw(st.sampled_from(("about", "about", "arguments", "arguments", "tensors", "body", "length")))
    if kind in ("about", "tensors"):
        parts[kind] = draw(spoiled(st.just(parts[kind])))
    elif kind == "arguments":
        parts["about"]["arguments"] = draw(spoiled(st.just(parts["about"]["arguments"]), PLAIN_ODD))
    elif kind == "body":
        at = draw(st.integers(0, len(body) - 4))
        body[at : at + 4] = draw(
            st.sampled_from((b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"", b"\xff\xff\x7f\x7f", b"12345678"))
        )
    lengths = st.sampled_from((0, 1, 2**18, 2**40, 2**63, 2**64 - 1))
    return put_together(parts["about"], parts["tensors"], bytes(body), draw(lengths) if kind == "length" else None)


def doors(folder: Path) -> list[Door]:
    """Networks from files."""
    contents, query = _files(folder)
    path, anchor = folder / "x.safetensors", folder / "anchor.json"
    Anchor.of(query, [torch.ones(1, 400).cumsum(1).sin()]).save(anchor)
    said = json.loads(anchor.read_text(encoding="utf-8"))

    def open_checkpoint(content: bytes) -> None:
        path.write_bytes(content)
        describe(path)
        model = from_pretrained(path)
        if model.kind != "query":
            assert torch.isfinite(model(torch.zeros(1, 1, 64))).all()

    def open_anchor(content: bytes) -> None:
        anchor.write_bytes(content)
        Anchor.load(anchor, query)

    return [
        Door("checkpoint", checkpoints(contents), open_checkpoint, 200, 9_000),
        Door("checkpoint, bytes", spoiled_bytes(st.sampled_from(contents), head=3000), open_checkpoint, 100, 4_000),
        Door("anchor", written(spoiled(st.just(said)), yaml=False), open_anchor, 80, 2_000),
    ]
