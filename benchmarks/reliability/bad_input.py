"""Files made to take all memory or time: each is taken in or refused, in little of either.

Every file goes through its door in one process that may take half a gigabyte more than what its libraries take (a hard
limit, beyond which nothing can be had). The floor is the time of PyYAML's C parser for a good file of 10,000 nodes.
"""

from __future__ import annotations

import io
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks._report import Bar, run
from hiersep.errors import HiersepError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks._report import Row

ROOM_MB = 512  # beside the libraries
SECONDS = 10.0  # of the processor, at most
FLOOR_NODES = 10_000


def bomb(kind: str) -> str:
    """A billion laughs: ten aliases of ten aliases of ..., as lists or as merged mappings."""
    if kind == "aliases":
        lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30))]
    else:
        lines = ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 30))]
    return "\n".join(lines) + "\nstems: {S00: {program_num: 1, plugin_name: *a29}}\n"


def wide(nodes: int) -> str:
    """A tree of one level below the root, each leaf with a label."""
    ids = [f"n{number}" for number in range(nodes)]
    labels = "".join(f"  {id}: {id}*\n" for id in ids)
    return (
        f"name: wide\nlevels: [mixture, stem]\ntree:\n  mixture: [{', '.join(ids)}]\nmatch: filename\nlabels:\n{labels}"
    )


def chain(depth: int) -> str:
    """A tree of one node per level."""
    levels = ", ".join(f"l{n}" for n in range(depth + 1))
    tree = "".join(f"{'  ' * n}n{n}:\n" for n in range(depth))
    return f"name: deep\nlevels: [{levels}]\ntree:\n  {tree.replace(chr(10), chr(10) + '  ').rstrip()} [leaf]\n"


def hierarchies() -> dict[str, str]:
    """Hierarchy files."""
    head = "name: x\nlevels: [a, b]\n"
    levels = ", ".join(f"l{number}" for number in range(100_000))
    return {
        "10,000 nodes": wide(9_999),
        "30,000 nodes": wide(30_000),
        "99 levels": chain(98),
        "10,000 levels, flow": f"{head}tree: {'{a: ' * 10_000}1{'}' * 10_000}",
        "10,000 levels, blocks": f"{head}tree:\n" + "\n".join(f"{' ' * n}a:" for n in range(1, 1_400)),
        "100,000 levels named": f"name: x\nlevels: [{levels}]\ntree: {{a: [b]}}\n",
        "aliases, a billion": f"{head}{bomb('aliases')}",
        "a word of a mebibyte": f"{head}tree: {{a: [{'b' * 1_000_000}]}}\n",
        "long ids, nearly the same": near_misses(),
        "8 MiB": head + "#" * (8 << 20),
        "1e400": f"{head}tree: {{a: [1.0e+400]}}\n",
        "a number of 900,000 digits": f"{head}tree: {{a: [{'9' * 900_000}]}}\n",
    }


def near_misses() -> str:
    """A mistyped label that is as long as the ids that it resembles: comparing takes the square of their length."""
    ids = [f"{'abcdefghijklmnopqrstuvwxyz' * 38}{number}" for number in range(900)]
    head = f"name: x\nlevels: [a, b]\ntree:\n  a: [{', '.join(ids)}]\n"
    return f"{head}match: filename\nlabels: {{{ids[0][::-1].lstrip('0')}: a}}\n"


def metadata() -> dict[str, str]:
    """A data set's ``metadata.yaml``."""
    return {
        "aliases, 10^29": bomb("aliases"),
        "merge keys, 10^29": bomb("merges"),
        "an alias of itself": "stems: &a {S00: *a}\n",
        "10,000 levels": f"stems: {'[' * 10_000}{']' * 10_000}\n",
        "2,400 levels": f"stems: {{S00: {{plugin_name: {'[' * 2_400}{']' * 2_400}}}}}\n",
        "a number of 10^6 bits": f"stems: {{S00: {{program_num: 0x{'f' * 250_000}}}}}\n",
        "64 MiB": "#" * (64 << 20) + "\nstems: {}\n",
        "a long mapping": "stems:\n" + "".join(f"  S{number:05d}: {{program_num: 1}}\n" for number in range(100_000)),
    }


def sounds() -> dict[str, bytes]:
    """Audio files, the format the end of their names."""
    import soundfile

    def made(name: str) -> bytearray:
        out = io.BytesIO()
        soundfile.write(out, np.zeros(8000, np.float32), 8000, format=name, subtype="PCM_16")
        return bytearray(out.getvalue())

    flac, wav = made("FLAC"), made("WAV")
    found = {}
    for frames in (10**9, 2**36 - 1):
        flac[18:26] = (int.from_bytes(flac[18:26], "big") >> 36 << 36 | frames).to_bytes(8, "big")
        found[f"{frames:.0e} frames.flac"] = bytes(flac)
    wav[40:44] = struct.pack("<I", 2**32 - 1)
    found["4 GiB promised.wav"] = bytes(wav)
    rate = bytearray(made("WAV"))
    rate[24:28] = struct.pack("<I", 1)
    found["1 Hz.wav"] = bytes(rate)
    au = struct.pack(">4sIIIII", b".snd", 24, 2**32 - 1, 3, 8000, 1024) + bytes(4096)
    found["1024 channels.au.wav"] = au
    return found


def checkpoints() -> dict[str, bytes]:
    """Headers of checkpoints that boast."""
    tensor = {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}
    tree = {"name": "x", "levels": ["a", "b"], "tree": {"a": [f"n{n}" for n in range(6_000)]}}
    about = {"format": 1, "network": "TreeSeparator", "arguments": {"hierarchy": tree}, "provenance": {}}

    def packed(header: Any, length: int | None = None) -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text) if length is None else length) + text

    own = {"__metadata__": {"hiersep": json.dumps(about)}}
    return {
        "terabytes of a tensor": packed({**own, "x": tensor}),
        "a header of 2^63 bytes": packed(b"{}", 2**63),
        "100,000 levels": packed(b'{"a":' * 20_000),
        "6,000 nodes and no weights": packed(own),
        "zip": b"PK\x03\x04" + bytes(100),
    }


def zip_bomb() -> bytes:
    """A catalog of 640 MiB of zeros in 640 kB."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("header.npy", "w") as file:
        for _ in range(640):
            file.write(bytes(1 << 20))
    return out.getvalue()


def cases(folder: Path) -> Iterator[tuple[str, str, Callable[[], object]]]:
    """Kind of file, name of the case, and what takes it in."""
    from hiersep import audio
    from hiersep.config import load_experiment
    from hiersep.data.cache import load
    from hiersep.data.readers import find_reader
    from hiersep.hierarchy import Hierarchy
    from hiersep.models.checkpoint import from_pretrained

    def put(name: str, content: bytes | str) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def use(path: Path) -> None:
        tree = Hierarchy.load(path)
        str(tree), tree.membership([tree.leaves[0], None]), tree.dump()

    def claim(path: Path) -> None:
        tree = Hierarchy.load("slakh_ismir2020")
        for track in find_reader(path).tracks(path):
            for stem in track.stems:
                tree.claim({"plugin_name": str(stem.attributes), **stem.attributes}, "slakh")

    for name, text in hierarchies().items():
        yield "hierarchy", name, lambda text=text: use(put("tree.yaml", text))
    for name, text in metadata().items():
        put("data/Track00001/stems/S00.wav", "")
        yield (
            "metadata.yaml",
            name,
            lambda text=text: (put("data/Track00001/metadata.yaml", text), claim(folder / "data")),
        )
    for name in ("aliases", "merges"):
        yield "experiment", name, lambda name=name: load_experiment(put("x.yml", bomb(name)))
    for name, content in sounds().items():
        path = put(name, content)
        yield "audio", path.stem, lambda path=path: audio.read(path)
    for name, content in checkpoints().items():
        yield "checkpoint", name, lambda content=content: from_pretrained(put("x.safetensors", content))
    path = put("catalog.npz", zip_bomb())
    yield "cache", "640 MiB in 640 kB", lambda: load(path)


def floor_s() -> float:
    """Seconds that PyYAML's C parser takes for a good file of 10,000 nodes."""
    import yaml

    text, started = wide(FLOOR_NODES), time.process_time()
    yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return time.process_time() - started


def measure_here() -> Iterator[dict[str, Any]]:
    """Try every case in this process, which has a limit of memory from here on."""
    import torch

    import hiersep.evaluation  # noqa: F401 - all libraries are here before the limit is set

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        tried = list(cases(Path(folder)))
        floor = floor_s()
        size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + ROOM_MB * 2**20, resource.RLIM_INFINITY))
        for kind, name, take in tried:
            started, what = time.process_time(), "taken in"
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    take()
            except HiersepError:
                what = "refused"
            except Exception as error:  # what this harness is there to find
                what = f"{type(error).__name__}: {str(error)[:60]}"
            seconds = time.process_time() - started
            yield {"file": kind, "case": name, "outcome": what, "seconds": seconds, "of the floor": seconds / floor}


def measure(repeats: int) -> tuple[list[Row], list[Bar]]:
    """Try every case in a process of its own."""
    module = "from benchmarks.reliability.bad_input import measure_here"
    code = f"import json; {module}; print(json.dumps(list(measure_here())))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=1800)
    rows = json.loads(done.stdout.splitlines()[-1])
    strange = [row for row in rows if row["outcome"] not in ("taken in", "refused")]
    slowest = max(row["of the floor"] for row in rows)
    return rows, [
        Bar("cases of which something else came than success or a line of ours", float(len(strange)), "<= 0"),
        Bar(f"slowest case over PyYAML's time for {FLOOR_NODES:,} nodes", slowest, "<= 25"),
    ]


def main() -> int:
    """Print how every case went."""
    return run(__doc__ or "", measure, repeats=1)


if __name__ == "__main__":
    sys.exit(main())
