"""The app as people use it: ``hiersep app`` as a process of its own, its page in headless Chromium."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
from helpers import bursts, noise, tone, write_audio

from hiersep import from_pretrained
from hiersep.separation import find_anchor, separate

pytest.importorskip("gradio", reason="the page is made with gradio: pip install -e .[app]")

FIXTURES = Path(__file__).parent / "fixtures"
MAX_MB = 0.5

# Writes down every host that the process looks up or connects to.
WATCHED = """
import sys
log = open({log!r}, "a", buffering=1)
def watch(event, arguments):
    if event == "socket.getaddrinfo": log.write(f"{{arguments[0]}}\\n")
    if event == "socket.connect" and isinstance(arguments[1], tuple): log.write(f"{{arguments[1][0]}}\\n")
sys.addaudithook(watch)
from hiersep.cli import main
main()
"""


class App:
    """A running ``hiersep app``: its address, its temporary folder, and the hosts that it asked for."""

    def __init__(self, folder, *words):
        self.temporary, self.log = folder / "tmp", folder / "hosts"
        self.temporary.mkdir()
        self.log.touch()
        command = [sys.executable, "-c", WATCHED.format(log=str(self.log)), "app", "--port", "0", *words]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        line = self.process.stdout.readline()
        assert line.startswith("hiersep is at http://"), line + self.process.stderr.read()
        self.url = line.split()[3]

    @property
    def visits(self):
        return [path for root in self.temporary.glob("hiersep-app-*") for path in root.iterdir()]

    def stop(self, how=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def app(tmp_path_factory, browser):  # without a browser the app is not started
    fixtures = [word for name in ("path", "query") for word in ("--model", str(FIXTURES / f"{name}.safetensors"))]
    app = App(tmp_path_factory.mktemp("app"), *fixtures, "--max-mb", str(MAX_MB), "--max-minutes", "0.5")
    yield app
    app.stop()


@pytest.fixture
def visit(open_page, app):
    """Give a function that opens the page and waits until it can be used."""

    def visit(**options):
        page = open_page(app.url, **options)
        page.set_default_timeout(60_000)  # a busy machine fails no test
        page.wait_for_selector("#mixture [data-ready=yes]")
        page.wait_for_selector("#tree input")
        return page

    return visit


def choose(page, network):
    page.click("#model input")
    page.click(f"#model [role=option]:has-text('{network}')")
    page.wait_for_selector(f"#tree [data-network='{network}']")


def bring(page, *paths, role="mixture"):
    """Bring files and wait for what is said of each."""
    before = page.locator(f"#{role} li").count() if role == "example" else 0
    page.set_input_files(f"#{role} input", [str(path) for path in paths])
    page.wait_for_function(
        "([role, count]) => !document.querySelector(`#${role} [data-state=busy]`) && "
        "document.querySelectorAll(`#${role} li`).length >= count",
        arg=[role, before + len(paths)],
    )
    return page.locator(f"#{role} li").all_inner_texts()


def tick(page, *nodes):
    page.click("#tree [data-tick=none]")
    for node in nodes:
        page.check(f"#tree input[value={node}]")


def separated(page):
    page.click("#separate")
    page.wait_for_selector("#results audio")


def wait_until(condition):
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def error_of(page):
    page.click("#separate")
    return page.wait_for_selector("#status [role=alert]").inner_text()


def stems_in(page):
    """Download the archive as a visitor does, and read it."""
    with page.expect_download() as downloading:
        page.click("#results a.button:has-text('zip')")
    stems = {}
    with zipfile.ZipFile(downloading.value.path()) as archive:
        for name in archive.namelist():
            samples, rate = soundfile.read(io.BytesIO(archive.read(name)), dtype="float32", always_2d=True)
            stems[name] = (samples.T, rate)
    return downloading.value.suggested_filename, stems


def test_a_song_is_taken_apart_and_its_stems_are_those_of_python(visit, tmp_path):
    song = noise(2.0, rate=16000, channels=2).astype(np.float32)
    page = visit()
    assert bring(page, write_audio(tmp_path / "my song.wav", song, 16000)) == ["my song.wav: 0:02, 16000 Hz, stereo"]
    choose(page, "guitar-path")
    tick(page, "guitar", "clean_guitars")
    separated(page)
    assert page.locator("#results .name").all_inner_texts() == [
        "mixture\nmy song.wav",
        "guitar\nfamily",
        "clean guitars\nclass",
    ]
    name, stems = stems_in(page)
    assert name == "my song.zip"
    assert list(stems) == ["my song/guitar.wav", "my song/clean_guitars.wav"]
    truth = separate(song, 16000, from_pretrained("guitar-path"), nodes=["guitar", "clean_guitars"])
    for (samples, rate), expected in zip(stems.values(), truth, strict=True):
        assert rate == 16000
        np.testing.assert_allclose(samples, expected, atol=1e-4)


def test_what_is_played_is_what_was_made_one_at_a_time_at_the_same_moment(visit, tmp_path):
    page = visit()
    bring(page, write_audio(tmp_path / "song.wav", noise(3.0, rate=8000), 8000))
    separated(page)
    page.wait_for_function("() => [...document.querySelectorAll('audio')].every((one) => one.duration > 2.9)")
    state = page.evaluate(
        """async () => {
          const [mixture, stem] = document.querySelectorAll("audio");
          mixture.muted = stem.muted = true;
          mixture.currentTime = 1.5;
          await mixture.play();
          await stem.play();
          return [mixture.paused, stem.paused, stem.currentTime];
        }"""
    )
    assert state[:2] == [True, False]
    assert 1.4 < state[2] < 2.5
    bring(page, write_audio(tmp_path / "shorter.wav", noise(1.0, rate=8000), 8000))
    assert page.locator("#results audio").count() == 0  # none of the song before
    separated(page)
    page.wait_for_function("() => [...document.querySelectorAll('audio')].every((one) => one.duration < 1.1)")


def test_an_example_asks(visit, tmp_path):
    song = noise(2.0, rate=8000).astype(np.float32)
    example = write_audio(tmp_path / "like this.wav", tone(1.0, rate=8000), 8000)
    silent = write_audio(tmp_path / "silent.wav", np.zeros((1, 8000)), 8000)
    page = visit()
    bring(page, write_audio(tmp_path / "song.wav", song, 8000))
    choose(page, "query.safetensors")
    page.wait_for_selector("#example [data-ready=yes]")
    tick(page, "class")
    assert error_of(page).startswith("example: expected some seconds of the wanted sound alone, got none")
    bring(page, silent, role="example")
    page.click("#separate")
    page.wait_for_selector("#status [role=alert]:has-text('silent.wav')")
    line = page.inner_text("#status [role=alert]")
    assert "expected a sound, got silence" in line
    assert "\n" not in line
    page.click("#example button")
    page.wait_for_selector("#example li", state="detached")
    assert bring(page, example, role="example") == ["like this.wav: 0:01, 8000 Hz, mono"]
    separated(page)
    _, stems = stems_in(page)
    network = from_pretrained(FIXTURES / "query.safetensors")
    anchor = find_anchor(network, [example])
    expected = separate(song, 8000, network, nodes=["class"], condition=anchor)[0]
    np.testing.assert_allclose(stems["song/class.wav"][0], expected, atol=1e-4)


def test_what_cannot_be_used_is_said_in_one_line(visit, tmp_path):
    page = visit()
    assert error_of(page) == "mixture: expected an audio file, got none; choose one"
    large = write_audio(tmp_path / "large.wav", noise(20.0, rate=8000), 8000)
    assert bring(page, large) == ["large.wav: expected at most 0.5 MB, got more; cut it, or convert it to flac or mp3"]
    (tmp_path / "text.wav").write_text("This is no sound.\n" * 99)
    (line,) = bring(page, tmp_path / "text.wav")
    assert line.startswith("text.wav: expected audio that libsndfile reads (wav, flac, ogg, mp3), got something else")
    long = write_audio(tmp_path / "long.flac", np.zeros((1, 8000 * 31)), 8000)
    assert bring(page, long) == ["long.flac: expected at most 0:30 (minutes:seconds), got more; cut it"]
    bring(page, write_audio(tmp_path / "song.wav", noise(1.0, rate=8000), 8000))
    tick(page)
    page.click("#separate")
    page.wait_for_selector("#status [role=alert]:has-text('nodes: expected one or more of')")
    assert page.locator("#results audio").count() == 0
    page.click("#tree [data-tick=all]")
    separated(page)
    assert page.locator("#status [role=alert]").count() == 0


def test_two_visitors_at_once_get_their_own(visit, tmp_path):
    songs = [noise(2.0, rate=8000).astype(np.float32), bursts(2.0, [(0.0, 1.0)], rate=8000).astype(np.float32)]
    pages = [visit(), visit()]
    for number, (page, song) in enumerate(zip(pages, songs, strict=True)):
        (tmp_path / str(number)).mkdir()
        bring(page, write_audio(tmp_path / str(number) / "song.wav", song, 8000))
    for page in pages:
        page.click("#separate")
    network = from_pretrained(FIXTURES / "path.safetensors")
    for page, song in zip(pages, songs, strict=True):
        page.wait_for_selector("#results audio")
        _, stems = stems_in(page)
        for (samples, _), expected in zip(stems.values(), separate(song, 8000, network), strict=True):
            np.testing.assert_allclose(samples, expected, atol=1e-4)


def test_the_page_is_used_by_keyboard_and_fits_a_phone(visit):
    page = visit(width=390, height=844)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator("#tree input[value=guitar]")
    box.focus()
    page.keyboard.press("Space")
    assert not box.is_checked()
    assert page.evaluate("document.activeElement.value") == "guitar"  # the tree is not drawn anew below the hand


def test_no_other_host_is_asked(browser, app, tmp_path):
    context = browser.new_context()
    page, asked = context.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    answer = page.goto(app.url)
    page.wait_for_selector("#mixture [data-ready=yes]")
    bring(page, write_audio(tmp_path / "song.wav", noise(1.0, rate=8000), 8000))
    separated(page)
    assert "default-src 'self' data: blob:" in answer.headers["content-security-policy"]  # nor could it, if it tried
    context.close()
    hosts = {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))}
    assert len(asked) > 20
    assert hosts == {urlsplit(app.url).netloc}
    assert set(app.log.read_text().split()) == {"127.0.0.1"}  # nor does the app itself ask any


def test_files_go_when_the_page_is_closed(visit, app, tmp_path):
    page = visit()
    bring(page, write_audio(tmp_path / "song.wav", noise(1.0, rate=8000), 8000))
    separated(page)
    address = page.get_attribute("#results a.button:has-text('zip')", "href")
    assert any(list(folder.rglob("guitar.wav")) for folder in app.visits)
    page.close()
    wait_until(lambda: app.visits == [])
    assert ask(app, f"/{address}") == 404


def ask(app, path, *, data=None, headers=None, method=None):
    """Status of a request that the page would not send."""
    request = urllib.request.Request(f"{app.url}{path}", data=data, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/hostname",
        "/file=/etc/hostname",
        "/gradio_api/file=http://127.0.0.1/",
        "/gradio_api/proxy=http://127.0.0.1/",
        "/gradio_api/upload",
        "/gradio_api/llms.txt",
        "/gradio_api/runs",
        "/gradio_api/mcp",
        "/docs",
        "/files/nobody/mixture",
        "/files/nobody/..%2f..%2f..%2fetc%2fhostname",
        "/assets/..%2f..%2f..%2f__init__.py",
    ],
)
def test_the_door_lets_nobody_else_in(app, path):
    assert ask(app, path) in (403, 404)


def test_no_site_that_calls_itself_by_another_name_is_answered(app):
    assert ask(app, "/") == 200
    assert ask(app, "/", headers={"Host": "evil.example"}) == 400


def test_a_file_that_is_too_large_is_not_taken_whatever_its_sender_says_of_it(visit, app):
    page = visit()
    answer = page.evaluate(
        """async () => {
          const { to } = document.querySelector("#mixture .upload").dataset;
          const end = document.querySelector("#mixture .upload").dataset.visit;
          const body = new Blob([new Uint8Array(600_000)]);
          const at = end.replace("end/", "bring/") + "/mixture";
          return (await fetch(at, { method: "POST", body, headers: { "X-File-Name": "..%2Fa.wav" } })).text();
        }"""
    )
    assert json.loads(answer)["error"].startswith("a.wav: expected at most 0.5 MB, got more")
    assert [path.name for folder in app.visits for path in folder.rglob("mixture-*")] == []


def test_when_it_is_stopped_nothing_is_left_though_a_page_is_open_and_a_song_under_way(browser, app, tmp_path):
    context = browser.new_context()  # whose complaints about a server that is gone are right
    page = context.new_page()
    page.goto(app.url)
    page.wait_for_selector("#mixture [data-ready=yes]")
    bring(page, write_audio(tmp_path / "song.flac", noise(20.0, rate=8000, db=-60.0), 8000))
    choose(page, "guitar-path")
    page.click("#separate")
    wait_until(lambda: any(list(folder.glob("result-*")) for folder in app.visits))
    out, errors = app.stop(signal.SIGTERM)
    context.close()
    assert app.process.returncode == 0
    assert out == "Stopped; uploads and results are removed.\n"
    assert errors == ""
    assert list(app.temporary.glob("hiersep*")) == []
