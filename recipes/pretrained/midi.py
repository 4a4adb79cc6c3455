"""Stage 0: gather General MIDI songs by others than our composer, and deal them to training and test.

Three sources, all Debian's (apt install openttd-openmsx mma):

- OpenMSX: the 31 songs that OpenTTD plays, GPL 2;
- the example songs that come with MMA, Musical MIDI Accompaniment, GPL 2;
- accompaniments that MMA plays by its library of grooves (GPL 2) to chord sheets drawn here: several per style.

A song, or a style with all its sheets, is either in OUT/train or in OUT/test, by a hash of seed and name.

Usage: python midi.py OUT [--seed N] [--sheets N] [--test SHARE]
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from hiersep.cli.command import run_script
from hiersep.errors import DataError
from hiersep.files import atomic_path

OPENMSX = Path("/usr/share/games/openttd/baseset/openmsx")
EXAMPLES = Path("/usr/share/doc/mma/examples")
STYLES = Path("/usr/share/mma/lib/stdlib")

# Bars of one or two chords, in degrees of the scale; MMA reads roman numerals once it is told the key.
PROGRESSIONS = (
    "I V vi IV", "I vi IV V", "vi IV I V", "I IV V IV", "ii V I I", "I vi ii V", "I iii IV V", "IV V iii vi",
    "I I7 IV iv", "vi V IV V", "I V/vi IV I", "ii7 V7 IM7 vi7", "I I I I IV IV I I V IV I V", "I ii IV I",
    "iim7 V7 iiim7 vim7", "I IV I V7",
)  # fmt: skip
KEYS = ("C", "G", "D", "A", "E", "F", "Bb", "Eb", "Ab", "B")
SECTION_BARS = 8
SECTIONS = 4


def sheet(grooves: list[str], rng: np.random.Generator) -> str:
    """Write a chord sheet in MMA's language: sections of eight bars, each by a groove of the style."""
    lines = [f"KeySig {rng.choice(KEYS)}", f"Tempo {rng.integers(76, 168)}", f"RndSeed {rng.integers(1 << 30)}"]
    pair = [str(p) for p in rng.choice(PROGRESSIONS, size=2, replace=False)]
    bar = 1
    for section in range(SECTIONS):
        lines.append(f"Groove {rng.choice(grooves)}")
        chords = pair[section % 2].split()
        for place in range(SECTION_BARS):
            lines.append(f"{bar} {chords[place % len(chords)]}")
            bar += 1
    return "\n".join(lines) + "\n"


def styles() -> dict[str, list[str]]:
    """Find the grooves of each of MMA's files of styles."""
    found = {}
    for path in sorted(STYLES.glob("*.mma")):
        text = path.read_text(encoding="latin-1")
        names = re.findall(r"^\s*DefGroove\s+(\S+)", text, re.MULTILINE | re.IGNORECASE)
        played = [name for name in names if not re.search(r"intro|end", name, re.IGNORECASE)]
        if played and not path.stem.startswith("metronome"):
            found[path.stem] = played
    return found


def play(text: str, out: Path) -> bool:
    """Let MMA turn a sheet into a MIDI file; say whether it could (it knows not every chord in every style)."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "sheet.mma", Path(folder) / "sheet.mid"
        source.write_text(text, encoding="utf-8")
        command = ["mma", "-f", str(made), str(source)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode or not made.is_file():
            return False
        with atomic_path(out) as temporary:
            shutil.copyfile(made, temporary)
    return True


def is_test(seed: int, name: str, share: float) -> bool:
    """Whether a song or style belongs to the test set."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def main(*words: str) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--sheets", type=int, default=12, help="chord sheets per style")
    parser.add_argument("--test", type=float, default=0.3, help="share of the songs and styles that is held out")
    options = parser.parse_args(words)
    for folder, package in ((OPENMSX, "openttd-openmsx"), (EXAMPLES, "mma"), (STYLES, "mma")):
        if not folder.is_dir():
            raise DataError(f"{folder}: expected the folder of Debian's {package}, found none; apt install {package}")
    copies, plays = [], []
    for name, folder in (("openmsx", OPENMSX), ("examples", EXAMPLES)):
        for song in sorted(folder.rglob("*.mid")):
            place = f"{name}/{song.stem}"
            split = "test" if is_test(options.seed, place, options.test) else "train"
            copies.append((song, options.out / split / f"{place}.mid"))
    for number, (style, grooves) in enumerate(styles().items()):
        split = "test" if is_test(options.seed, f"grooves/{style}", options.test) else "train"
        for index in range(options.sheets):
            rng = np.random.default_rng([options.seed, number, index])
            plays.append((sheet(grooves, rng), options.out / split / "grooves" / f"{style}-{index:02d}.mid"))
    for song, target in copies:
        with atomic_path(target) as temporary:
            shutil.copyfile(song, temporary)
    todo = [(text, target) for text, target in plays if not target.exists()]
    bar = tqdm(todo, desc="Playing sheets", unit="song", disable=None)
    played = sum(Parallel(n_jobs=-1, prefer="threads")(delayed(play)(text, target) for text, target in bar))
    failed = f"; MMA refused {len(todo) - played}" if played < len(todo) else ""
    counts = {split: len(list((options.out / split).rglob("*.mid"))) for split in ("train", "test")}
    print(f"{options.out}: {counts['train']} songs to learn from, {counts['test']} held out{failed}")


if __name__ == "__main__":
    run_script(main)
