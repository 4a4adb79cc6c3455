"""The page's door: it lets in what the page needs and nothing else, takes files and gives them out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import mimetypes
import os
import signal
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

# Before gradio is loaded, which reads them: it phones nobody.
os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response

from hiersep.app.listening import LOCAL
from hiersep.app.page import THEME, Answers, build, script
from hiersep.app.sessions import keep_sessions
from hiersep.app.uploads import shown_name
from hiersep.errors import DataError, HiersepError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from socket import socket
    from types import FrameType

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hiersep.app.listening import Place
    from hiersep.app.sessions import Session, Sessions
    from hiersep.app.uploads import Limits
    from hiersep.app.work import Networks

# What the page asks for, of all that gradio has: no door to the file system, none to other hosts.
_LET_IN = (
    "/assets/", "/static/", "/theme.css", "/favicon.ico", "/manifest.json", "/bring/", "/end/", "/files/", "/config",
    "/gradio_api/app_id", "/gradio_api/startup-events", "/gradio_api/heartbeat/", "/gradio_api/queue/join",
    "/gradio_api/queue/data", "/gradio_api/cancel",
)  # fmt: skip
# Whatever a script of the page might try, the browser asks no other host.
_POLICY = (
    b"default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'self'; base-uri 'self'; "
    b"form-action 'self'"
)


class Door:
    """Refuse every address that the page does not need, and tell the browser to ask no other host.

    Args:
        app: What lies behind.
        local: Refuse as well what pages of other sites ask, whose browser runs on this computer too. Where a proxy
            stands before the app, it knows the names of the site, and this does not.
    """

    def __init__(self, app: ASGIApp, *, local: bool = True):
        self.app, self._local = app, local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = [(b"content-security-policy", _POLICY), (b"referrer-policy", b"no-referrer")]
                message["headers"] = [*message.get("headers", []), *policy]
            await send(message)

        path = scope["path"]
        app = self.app if path == "/" or path.startswith(_LET_IN) else PlainTextResponse("no such page", 404)
        if self._local and is_foreign(scope):
            app = PlainTextResponse("asked by a page of another site", 403)
        await app(scope, receive, send_with_policy)


def is_foreign(scope: Scope) -> bool:
    """Say whether a page of another site asks for something to be done; it may lead here, and read nothing.

    Browsers tell. By their ``Origin`` alone, which older ones have, the farewell of our own page could not be told from
    others': it is ``null``, as the page is to name itself to nobody.
    """
    headers = dict(scope["headers"])
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None:
        return site not in (b"same-origin", b"none") and scope["method"] not in ("GET", "HEAD")
    return origin is not None and urlsplit(origin).netloc != headers.get(b"host")


class Files:
    """Take what visitors bring, and give them what was made of it.

    Args:
        sessions: The visits. Which one is meant, and that it may be, a secret in the address says.
    """

    def __init__(self, sessions: Sessions):
        self.sessions = sessions

    def connect(self, app: FastAPI) -> None:
        """Give each function its address."""
        app.add_api_route("/bring/{token}/{role}", self.bring, methods=["POST"])
        app.add_api_route("/bring/{token}/{role}", self.drop, methods=["DELETE"])
        app.add_api_route("/end/{token}", self.end, methods=["POST"])
        app.add_api_route("/files/{token}/{name}", self.give, methods=["GET"], response_model=None)

    async def bring(self, token: str, role: str, request: Request) -> Response:
        """Take a file, the body of the request, and say what it is or why it cannot be used."""
        session = self.sessions.with_token(token)
        if session is None or role not in ("mixture", "example"):
            return JSONResponse({"error": "this visit has ended and its files are removed; load the page again"})
        name = shown_name(unquote(request.headers.get("x-file-name", "")))
        path = session.new_path(role)
        try:
            with session.working():
                await receive_file(request, path, name, session.limits)
                return JSONResponse({"said": str(await run_in_threadpool(session.take, role, path, name))})
        except ClientDisconnect:
            path.unlink(missing_ok=True)
            return Response(status_code=400)
        except HiersepError as error:
            path.unlink(missing_ok=True)
            return JSONResponse({"error": " ".join(str(error).split())})
        except OSError as error:
            path.unlink(missing_ok=True)
            return JSONResponse({"error": f"{name}: cannot be kept here ({error.strerror or error}); free some space"})

    async def drop(self, token: str, role: str) -> Response:
        """Remove what was brought."""
        session = self.sessions.with_token(token)
        if session is not None and role in ("mixture", "example"):
            session.drop(role)
        return JSONResponse({})

    async def end(self, token: str) -> Response:
        """End a visit: its page is left."""
        self.sessions.end_with_token(token)
        return Response(status_code=204)

    async def give(self, token: str, name: str) -> Response:
        """Give out one of the files that were made."""
        session = self.sessions.with_token(token)
        path = None if session is None else session.files.get(name)
        if session is None or path is None or not path.is_file():
            return PlainTextResponse("no such file", 404)
        return Fleeting(path, media_type=media_type(session, name), headers={"cache-control": "no-store"})


class Fleeting(FileResponse):
    """A file that may be gone before it is sent, with the visit whose page was closed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, if it is there."""
        try:
            await super().__call__(scope, receive, send)
        except FileNotFoundError:
            return
        except RuntimeError:  # of a file that is gone before its length is known
            if os.path.lexists(self.path):
                raise
            await PlainTextResponse("no such file", 404)(scope, receive, send)


async def receive_file(request: Request, path: Path, name: str, limits: Limits) -> None:
    """Write the body of a request to a file.

    Raises:
        DataError: If it is larger than the limits allow; no more than that is written.
    """
    size = 0
    with path.open("wb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limits.max_bytes:
                raise DataError(f"{name}: {limits.too_large}")
            file.write(chunk)


def media_type(session: Session, name: str) -> str:
    """Say what kind a file is that may be fetched."""
    if name == "mixture" and session.mixture is not None:
        return session.mixture.media_type
    kind = mimetypes.guess_type(name)[0] or ""
    return kind if kind.startswith("audio/") else "application/octet-stream"  # saved, and not opened as a page of ours


def make_app(sessions: Sessions, networks: Networks, *, device: str | None = None, local: bool = True) -> FastAPI:
    """Put page and door together.

    Args:
        sessions: The visits.
        networks: Of which a visitor chooses.
        device: Where they run. Default: the fastest at hand.
        local: Whether only this computer may ask, by one of its own names: no other site's page may pose as this one.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    Files(sessions).connect(app)
    if local:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOCAL, "[::1]"])
    app.add_middleware(Door, local=local)
    gr.mount_gradio_app(
        app,
        build(Answers(sessions, networks, device)),
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=1,  # nothing is brought by gradio's own door
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=THEME,
        css=script("page.css"),
        head=f"<script>{script('players.js')}</script>",
    )
    return app


def serve(
    networks: Networks,
    limits: Limits,
    place: Place,
    *,
    device: str | None = None,
    ready: Callable[[], object] = lambda: None,
) -> bool:
    """Run the app until it is interrupted or told to end; then everything that was brought and made is removed.

    Args:
        networks: Of which a visitor chooses.
        limits: What a visitor may bring.
        place: Where to listen, as `hiersep.app.listening.listen` gives it.
        device: Where the networks run. Default: the fastest at hand.
        ready: Called when the page can be opened.

    Returns:
        Whether a network is still at work, for nobody: its thread holds the process up for as long.
    """
    sessions = None
    before = {number: signal.signal(number, signal.default_int_handler) for number in _endings()}
    try:
        with contextlib.suppress(KeyboardInterrupt), keep_sessions(limits) as sessions:
            app = make_app(sessions, networks, device=device, local=place.is_local)
            config = uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=1)
            asyncio.run(Server(config, ready).serve(sockets=[place.socket]))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return sessions is not None and sessions.busy


def _endings() -> Sequence[signal.Signals]:
    """By what a program is told to end; uvicorn listens to the first two, and raises them again when it has ended."""
    return [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a complaint is more than that a page went away before all was sent."""
    return "returned without completing response" not in record.getMessage()


class Server(uvicorn.Server):
    """A server that says when it can be asked, and ends without complaints.

    Args:
        config: Of uvicorn.
        ready: Called then.
    """

    def __init__(self, config: uvicorn.Config, ready: Callable[[], object]):
        super().__init__(config)
        self._ready = ready
        logging.getLogger("uvicorn.error").addFilter(_is_ours)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; what pages that are still open lose is no error."""
        for name in ("uvicorn.error", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started:
            self._ready()
