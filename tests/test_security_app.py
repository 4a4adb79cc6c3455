"""The app against whoever asks it by other means than its page: crafted requests to a running server, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import json
import subprocess
import threading
import warnings
from pathlib import Path
from urllib.parse import quote

import pytest
from helpers import noise, tone, write_audio

pytest.importorskip("gradio", reason="the page is made with gradio: pip install -e .[app]")

import uvicorn

from hiersep.app.listening import listen
from hiersep.app.server import Server, make_app
from hiersep.app.sessions import Sessions
from hiersep.app.uploads import MOST_EXAMPLES, Limits
from hiersep.app.work import Networks

FIXTURES = Path(__file__).parent / "fixtures"
SECRET = "the secret of another folder"


class App:
    """A server in a thread, its visits, and plain requests to it: paths are sent as they are written."""

    def __init__(self, folder):
        self.folder, self.limits = folder, Limits(max_mb=0.2, max_minutes=0.1)
        (folder / "visits").mkdir()
        self.secret = folder / "secret.txt"
        self.secret.write_text(SECRET)
        self.sessions = Sessions(folder / "visits", self.limits)
        self.place = listen("127.0.0.1", 0)
        self.port = self.place.socket.getsockname()[1]
        ready = threading.Event()
        asgi = make_app(self.sessions, Networks([str(FIXTURES / "path.safetensors")]), device="cpu")
        self.server = Server(uvicorn.Config(asgi, log_level="critical", timeout_graceful_shutdown=1), ready.set)
        serving = self.server.serve(sockets=[self.place.socket])
        self.thread = threading.Thread(target=asyncio.run, args=(serving,), daemon=True)
        self.thread.start()
        assert ready.wait(120)

    def ask(self, method, path, body=None, headers=None):
        """Status and body of the answer."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.putrequest(method, path, skip_host="Host" in (headers or {}))
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def bring(self, token, body, *, role="mixture", name="song.wav"):
        status, answer = self.ask("POST", f"/bring/{token}/{role}", body, {"X-File-Name": quote(name)})
        assert status == 200
        return json.loads(answer)

    def call(self, function, data, visitor):
        """Send an event as the page does, with whatever data, and return all that is answered."""
        event = {"data": data, "fn_index": function, "session_hash": visitor, "event_data": None, "trigger_id": None}
        headers = {"Content-Type": "application/json"}
        status, answer = self.ask("POST", "/gradio_api/queue/join", json.dumps(event).encode(), headers)
        if status != 200:
            return answer.decode()
        return self.ask("GET", f"/gradio_api/queue/data?session_hash={visitor}")[1].decode()


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # gradio leaves event loops open while it makes a page
        app = App(tmp_path_factory.mktemp("app"))
        gc.collect()
    yield app
    app.server.should_exit = True
    app.thread.join(60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def visit(app):
    visit = app.sessions.begin("someone")
    yield visit
    app.sessions.end("someone")


@pytest.fixture
def song(tmp_path):
    return write_audio(tmp_path / "song.flac", noise(0.5, rate=8000, db=-60), 8000).read_bytes()


def test_it_listens_to_this_computer_alone(app):
    assert app.server.servers[0].sockets[0].getsockname()[0] == "127.0.0.1"
    assert app.place.is_local


# --- paths


def test_no_path_in_an_event_is_opened(app, visit, song):
    secret = str(app.secret)
    app.bring(visit.token, song)
    crafted = {"path": secret, "url": f"file://{secret}", "orig_name": "a.wav", "meta": {"_type": "gradio.FileData"}}
    count = len(json.loads(app.ask("GET", "/config")[1])["dependencies"])
    assert count >= 4
    for function in range(count):
        for data in ([crafted] * 5, [secret] * 5, [[crafted]] * 5, [{"chosen": [secret, "../../secret"]}] * 5):
            answer = app.call(function, data, "someone")
            assert SECRET not in answer
            assert "Traceback" not in answer
    chosen = {"chosen": ["../../secret", secret]}
    answer = app.call(3, ["path.safetensors", chosen, "", [], "wav, 16 bits"], "someone")
    assert SECRET not in answer
    assert app.secret.read_text() == SECRET
    assert {path.name for path in app.folder.iterdir()} == {"visits", "secret.txt"}


PATHS = [
    "/gradio_api/file={secret}", "/file={secret}", "/file/{secret}", "/gradio_api/file/{secret}",
    "/gradio_api/stream/x/y/{secret}", "/gradio_api/deep_link?session_hash=x", "/gradio_api/component_server",
    "/files/{token}/..%2f..%2fsecret.txt", "/files/{token}/../../secret.txt", "/files/{token}/{quoted}",
    "/files/{token}//{secret}", "/files/{token}/..\\..\\secret.txt", "/files/{token}/%00",
    "/files/{token}/mixture%00.wav",
    "/files/../visits/{token}/mixture", "/static/../../../../../../../..{secret}", "/assets/{quoted}",
    "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e{secret}", "/assets/../../../../../../../../../..{secret}",
    "/theme.css/../../gradio_api/file={secret}", "/config/../gradio_api/file={secret}", "//gradio_api/file={secret}",
    "/gradio_api/queue/data/../../file={secret}", "/gradio_api/queue/../file={secret}",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_no_address_leads_to_a_file_of_another_folder(app, visit, song, path):
    app.bring(visit.token, song)
    at = path.format(secret=app.secret, quoted=quote(str(app.secret), safe=""), token=visit.token)
    for method in ("GET", "HEAD", "POST"):
        status, answer = app.ask(method, at.replace("\\", "%5c"), b"" if method == "POST" else None)
        assert status in (400, 403, 404, 405, 422), f"{method}: {answer[:200]}"
        assert SECRET.encode() not in answer


@pytest.mark.parametrize(
    "name", ["../../secret.txt", "/etc/hostname", "a\\..\\b.wav", "x" * 5000, "-version", "a\0b", ".."]
)
def test_no_name_of_an_upload_names_a_file(app, visit, song, name):
    said = app.bring(visit.token, song, name=name)["said"]
    assert "\n" not in said
    assert len(said) < 200
    assert [path.name for path in visit.folder.rglob("*")] == [visit.mixture.path.name]
    assert visit.mixture.path.parent == visit.folder
    assert app.secret.read_text() == SECRET


# --- what is brought


def test_content_decides_and_not_the_name(app, visit, song, tmp_path):
    for content in (
        b"#EXTM3U\nfile:///etc/hostname\n",
        b"this is text",
        b"<svg onload=alert(1)>",
        b"%PDF-1.4",
        b"\0" * 999,
    ):
        answer = app.bring(visit.token, content)
        assert answer["error"].startswith("song.wav: ")
        assert str(app.folder) not in answer["error"]
        assert visit.mixture is None
    sound, film = write_audio(tmp_path / "sound.wav", tone(0.5)), tmp_path / "film.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-i", sound, "-c:a", "aac", film], check=True)
    assert "said" in app.bring(visit.token, film.read_bytes(), name="film.wav")
    assert app.ask("GET", f"/files/{visit.token}/mixture")[1].startswith(b"RIFF")
    assert "said" in app.bring(visit.token, song, name="song.html")


def test_what_is_fetched_is_no_page(app, visit, song):
    app.bring(visit.token, song, name="page.html")
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", app.port, timeout=60)) as connection:
        connection.request("GET", f"/files/{visit.token}/mixture")
        answer = connection.getresponse()
        answer.read()
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "default-src 'self'" in answer.headers["content-security-policy"]


def test_length_size_and_number_are_limited(app, visit, song, tmp_path):
    large = b"\0" * (app.limits.max_bytes + 1)
    assert "expected at most 0.2 MB, got more" in app.bring(visit.token, large)["error"]
    long = write_audio(tmp_path / "long.flac", noise(7.0, rate=4000, db=-90), 4000).read_bytes()
    assert "expected at most 0:06" in app.bring(visit.token, long)["error"]
    answers = [app.bring(visit.token, song, role="example") for _ in range(MOST_EXAMPLES + 1)]
    assert [("error" in answer) for answer in answers] == [False] * MOST_EXAMPLES + [True]
    assert len(list(visit.folder.iterdir())) == MOST_EXAMPLES


# --- who asks


def test_no_visitor_reaches_the_files_of_another(app, visit, song):
    app.bring(visit.token, song)
    other = app.sessions.begin("other")
    assert app.ask("GET", f"/files/{visit.token}/mixture")[0] == 200
    for token in (other.token, "", "someone", visit.token[:-1], f"{visit.token}x", quote("é" * 32), visit.folder.name):
        assert app.ask("GET", f"/files/{token}/mixture")[0] == 404
        app.ask("DELETE", f"/bring/{token}/mixture")
        app.ask("POST", f"/end/{token}", b"")
    assert visit.mixture is not None
    assert visit.mixture.path.is_file()


def test_a_page_of_another_site_is_not_answered(app, visit):
    own = f"http://127.0.0.1:{app.port}"
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", f"{own}.evil.example", "http://localhost"):
        for method, path in (("POST", f"/end/{visit.token}"), ("POST", "/gradio_api/queue/join"), ("GET", "/config")):
            assert app.ask(method, path, b"{}" if method == "POST" else None, {"Origin": origin})[0] == 403
    for site in ("cross-site", "same-site"):  # another port of this computer is the same site
        for method, path in (("POST", f"/end/{visit.token}"), ("DELETE", f"/bring/{visit.token}/mixture")):
            assert app.ask(method, path, b"", {"Origin": "null", "Sec-Fetch-Site": site})[0] == 403
        assert app.ask("GET", "/", headers={"Sec-Fetch-Site": site})[0] == 200  # whoever follows a link is let in
    assert app.sessions.with_token(visit.token) is visit
    assert app.ask("GET", "/config", headers={"Origin": own})[0] == 200
    own_farewell = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    assert app.ask("POST", "/end/nobody", b"", own_farewell)[0] == 204
    for host in ("evil.example", f"evil.example:{app.port}", "127.0.0.1.evil.example"):
        assert app.ask("GET", "/", headers={"Host": host})[0] == 400
