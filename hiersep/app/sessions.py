"""Keep what a visitor of the page brings and gets, each in a folder of its own, and remove it.

A visit ends when its page is closed, when nothing was asked for a while, or when the app stops; then its folder goes.
What an app leaves that was killed is removed when the next one starts. Names that come from outside are shown, and
never lead to a file: files are found by the names that are given here.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hiersep import audio
from hiersep.app.uploads import MOST_EXAMPLE_S, MOST_EXAMPLES, Upload, naming, shown_name
from hiersep.errors import DataError
from hiersep.files import lock_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hiersep.app.uploads import Limits

PREFIX = "hiersep-app-"
_PATIENCE_S = 2.0  # a network works on for some seconds before it is asked whether it should go on
_YOUNG_S = 60.0  # a folder that is about to be locked is no one's leaving


@dataclass
class Session:
    """One visit: a folder, what was brought into it, and what was made of it.

    Attributes:
        folder: Holds all of it, and nothing of another visit.
        limits: What may be brought.
        token: The secret by which the page that was given it, and no other, brings and fetches files.
        mixture: What is to be taken apart.
        examples: Of the wanted sound.
        files: What may be fetched, by the names that were given here.
        used: When something was last asked for, by `time.monotonic`.
    """

    folder: Path
    limits: Limits
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    mixture: Upload | None = None
    examples: list[Upload] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    used: float = field(default_factory=time.monotonic)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _busy: int = 0
    _ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def new_path(self, what: str) -> Path:
        """Name a place in the folder where nothing is yet."""
        return self.folder / f"{what}-{next(self._numbers)}"

    def take(self, role: str, path: Path, name: str) -> Upload:
        """Keep a file that was brought, if it is what it should be by its content; otherwise remove it.

        Args:
            role: ``mixture``, which takes the place of one before, or ``example``.
            path: Where it lies, as `new_path` named it.
            name: What the browser calls it.

        Raises:
            DataError: If it is no audio, or more than the limits allow.
        """
        name = shown_name(name)
        try:
            most_s = MOST_EXAMPLE_S if role == "example" else self.limits.max_minutes * 60
            with naming({path: name}), audio.decoded(path, most_s=most_s + 1) as readable:
                sound = audio.info(readable)
                self.limits.check(name, sound, most_s)
                is_decoded = readable != path
                if is_decoded:
                    shutil.move(readable, path)  # what a browser plays too, and is not decoded again
            if role == "example" and len(self.examples) >= MOST_EXAMPLES:
                raise DataError(f"{name}: expected at most {MOST_EXAMPLES} examples, got one more; remove some")
        except DataError:
            path.unlink(missing_ok=True)
            raise
        upload = Upload(path, name, sound, is_decoded)
        if role == "example":
            self.examples.append(upload)
        else:
            self.drop("mixture")
            self.mixture, self.files["mixture"] = upload, path
        return upload

    def drop(self, role: str) -> None:
        """Remove the mixture with what was made of it, or the examples."""
        if role == "example":
            for upload in self.examples:
                upload.path.unlink(missing_ok=True)
            self.examples.clear()
        elif self.mixture is not None:
            self.drop_results()
            self.mixture.path.unlink(missing_ok=True)
            self.mixture = None
            self.files.clear()

    def keep(self, folder: Path, paths: Sequence[Path]) -> None:
        """Let files be fetched that were made of the mixture, and remove what was made before.

        Args:
            folder: Holds them and nothing else, as `new_path` named it: ``result-NUMBER``.
            paths: The files.
        """
        self.drop_results(but=folder)
        self.files |= {path.name: path for path in paths}

    def drop_results(self, but: Path | None = None) -> None:
        """Remove what was made, but for one folder of it."""
        self.files = {name: path for name, path in self.files.items() if name == "mixture"}
        for path in self.folder.glob("result-*"):
            if path != but:
                shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Hold the visit while something is done in it; if it ends meanwhile, its folder goes when this is done."""
        with self._lock:
            self._busy += 1
        try:
            yield
        finally:
            self.used = time.monotonic()
            with self._lock:
                self._busy -= 1
            if self._ended:
                self.end()

    @property
    def ended(self) -> bool:
        """Whether the visit is over, so that what is being done in it is done for nobody."""
        return self._ended

    @property
    def busy(self) -> bool:
        """Whether something is being done in it."""
        return self._busy > 0

    @property
    def idle_s(self) -> float:
        """Seconds since something was asked for; 0 while something is being done."""
        return 0.0 if self._busy else time.monotonic() - self.used

    def end(self) -> None:
        """Remove the folder, now or as soon as what is being done in it is done."""
        with self._lock:
            self._ended = True
            if not self._busy:
                shutil.rmtree(self.folder, ignore_errors=True)


class Sessions:
    """All visits of a running app, in one folder.

    Args:
        folder: Holds the folder of each.
        limits: What each may bring, and how long it is kept.
    """

    def __init__(self, folder: Path, limits: Limits):
        self.folder, self.limits = folder, limits
        self._of: dict[str, Session] = {}
        self._leaving: list[Session] = []  # ended, and something was still being done in them
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._of)

    def begin(self, visitor: str) -> Session:
        """Begin a visit.

        Args:
            visitor: By which `of` finds it again; a visit that it had before ends.
        """
        self.end(visitor)
        session = Session(Path(tempfile.mkdtemp(dir=self.folder)), self.limits)
        with self._lock:
            self._of[visitor] = session
        return session

    def of(self, visitor: str) -> Session:
        """Find the visit of a visitor.

        Raises:
            DataError: If it has ended.
        """
        try:
            session = self._of[visitor]
        except KeyError:
            raise DataError(
                "this page: expected a visit that goes on, got one that has ended, whose files are removed; load the "
                "page again"
            ) from None
        session.used = time.monotonic()
        return session

    def with_token(self, token: str) -> Session | None:
        """Find the visit that has a secret."""
        visitor = self._visitor(token)
        return None if visitor is None else self._of.get(visitor)

    def end_with_token(self, token: str) -> None:
        """End the visit that has a secret."""
        visitor = self._visitor(token)
        if visitor is not None:
            self.end(visitor)

    def _visitor(self, token: str) -> str | None:
        with self._lock:
            for visitor, session in self._of.items():
                if secrets.compare_digest(session.token.encode(), token.encode()):
                    session.used = time.monotonic()
                    return visitor
        return None

    def end(self, visitor: str) -> None:
        """End a visit, if it goes on, and remove its files."""
        with self._lock:
            session = self._of.pop(visitor, None)
        if session is not None:
            session.end()
            self._leaving = [other for other in (*self._leaving, session) if other.busy]

    def close(self) -> None:
        """End all visits, and wait a little until what is being done in them has noticed."""
        for visitor in list(self._of):
            self.end(visitor)
        until = time.monotonic() + _PATIENCE_S
        while self.busy and time.monotonic() < until:
            time.sleep(0.05)

    @property
    def busy(self) -> bool:
        """Whether something is still being done in visits that have ended."""
        return any(session.busy for session in self._leaving)

    def sweep(self) -> None:
        """End the visits in which nothing was asked for as long as the limits allow."""
        with self._lock:
            left = [name for name, session in self._of.items() if session.idle_s > self.limits.keep_minutes * 60]
        for visitor in left:
            self.end(visitor)


@contextlib.contextmanager
def keep_sessions(limits: Limits) -> Iterator[Sessions]:
    """Keep visits in a new temporary folder, sweep them, and remove it at the end."""
    remove_left_behind()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    stop = threading.Event()
    try:
        with lock_folder(folder):
            sessions = Sessions(folder, limits)

            def sweep() -> None:
                while not stop.wait(min(30.0, limits.keep_minutes * 60 / 4)):
                    sessions.sweep()

            threading.Thread(target=sweep, daemon=True).start()
            try:
                yield sessions
            finally:
                stop.set()
                sessions.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_left_behind() -> None:
    """Remove the folders of this user's apps that were killed: those that no one holds."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(DataError, OSError):
            about = folder.lstat()
            if about.st_uid == os.getuid() and folder.is_dir() and time.time() - about.st_mtime > _YOUNG_S:
                with lock_folder(folder):
                    shutil.rmtree(folder, ignore_errors=True)
