"""The bytes of a file, spoiled without knowing what they mean."""

from __future__ import annotations

from hypothesis import strategies as st

_BYTES = (b"", b"\x00", b"\xff", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00")
_MORE = (b"\xff" * 8, b"\x00" * 64, b"PK\x03\x04", b"RIFF", b"fLaC", b"\x80\x04", b"'\"", b"{[", b"\n", b"\xed\xa0\x80")


@st.composite
def spoiled_bytes(draw, files: st.SearchStrategy, *, head: int = 400, most: int = 4) -> bytes:
    """A file cut, flipped, spliced and stretched, mostly in its first `head` bytes."""
    content = bytearray(draw(files))
    for _ in range(draw(st.integers(1, most))):
        size = len(content)
        near = draw(st.booleans())
        place = draw(st.integers(0, max(0, min(size, head) - 1 if near else size - 1)))
        kind = draw(st.sampled_from(("flip", "set", "set", "put", "put", "insert", "cut", "drop", "splice", "double")))
        if kind == "flip" and size:
            content[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set" and size:
            content[place] = draw(st.integers(0, 255))
        elif kind == "put":
            other = draw(st.sampled_from(_BYTES + _MORE))
            content[place : place + len(other)] = other
        elif kind == "insert":
            content[place:place] = draw(st.sampled_from(_BYTES + _MORE) | st.binary(max_size=8))
        elif kind == "cut":
            del content[place:]
        elif kind == "drop":
            del content[place : place + draw(st.integers(1, 40))]
        elif kind == "splice":
            start = draw(st.integers(0, max(0, size - 1)))
            content[place:place] = content[start : start + draw(st.integers(1, 200))]
        elif kind == "double" and size < 100_000:
            content[place:] = content[place:] * 2
    return bytes(content)
