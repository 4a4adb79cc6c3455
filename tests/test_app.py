"""What the page in the browser does behind it: visits and their files, networks, one mixture taken apart; no gradio."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers import error_db, noise, read_audio, tone, write_audio

from hiersep import from_pretrained
from hiersep.app import listening, pieces, sessions, work
from hiersep.app.sessions import Sessions, keep_sessions, remove_left_behind
from hiersep.app.uploads import MOST_EXAMPLES, Limits, shown_name, stem_of
from hiersep.app.work import Networks, Order, take_apart
from hiersep.errors import CheckpointError, ConfigError, DataError, HierarchyError, HiersepError
from hiersep.files import lock_folder
from hiersep.separation import find_anchor, separate

FIXTURES = Path(__file__).parent / "fixtures"
PATH, QUERY = "path.safetensors", "query.safetensors"
NODES = ("strings_guitars_keyboards", "guitar", "clean_guitars")


@pytest.fixture(scope="module")
def networks():
    return Networks([str(FIXTURES / PATH), str(FIXTURES / QUERY)])


@pytest.fixture
def visits(tmp_path):
    (tmp_path / "visits").mkdir()
    return Sessions(tmp_path / "visits", Limits(max_mb=1.0, max_minutes=0.1))


@pytest.fixture
def visit(visits):
    return visits.begin("someone")


def bring(visit, samples, role="mixture", name="song.wav", rate=8000):
    """Bring a sound as the page does: it lies in the visit's folder under a name that was given there."""
    path = visit.new_path(role)
    write_audio(path.with_suffix(".wav"), samples, rate).rename(path)
    return visit.take(role, path, name)


def bring_bytes(visit, content, name="song.wav"):
    path = visit.new_path("mixture")
    path.write_bytes(content)
    return visit.take("mixture", path, name)


def left_in(visit):
    return sorted(path.name for path in visit.folder.rglob("*") if path.is_file())


# --- what is brought


def test_content_counts_and_not_the_name(visit, tmp_path):
    assert (
        str(bring(visit, tone(1.5, rate=8000, channels=2), name="holiday.txt")) == "holiday.txt: 0:02, 8000 Hz, stereo"
    )
    for suffix, subtype in ((".flac", "PCM_16"), (".mp3", "MPEG_LAYER_III"), (".ogg", "VORBIS"), (".aiff", "PCM_16")):
        content = write_audio(tmp_path / f"a{suffix}", tone(1.0), 8000, subtype).read_bytes()
        assert bring_bytes(visit, content, "song.wav").sound.sample_rate == 8000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"This is no sound.\n" * 99, "song.wav: expected audio that libsndfile reads"),
        (b"", r"song.wav: expected audio, got an empty file \(0 bytes\)"),
        (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n", "song.wav: expected audio that libsndfile reads"),
        (b"ffconcat version 1.0\nfile mixture-0\n", "song.wav: expected audio that libsndfile reads"),
    ],
    ids=["text", "empty", "playlist", "list"],
)
def test_what_is_no_audio_is_refused_in_a_line_that_tells_no_place(visit, content, said):
    with pytest.raises(DataError, match=f"^{said}") as caught:
        bring_bytes(visit, content)
    assert str(visit.folder) not in str(caught.value)
    assert left_in(visit) == []
    assert visit.mixture is None


@pytest.mark.parametrize(
    ("seconds", "rate", "channels", "role", "said"),
    [
        (6.5, 8000, 1, "mixture", r"^a: expected at most 0:06 \(minutes:seconds\), got more; cut it"),
        (61.0, 100, 1, "example", "^a: expected at most 1:00"),
        (0.1, 8000, 9, "mixture", "^a: expected at most 8 channels and 192000 Hz, got 9 and 8000 Hz"),
        (0.001, 200_000, 1, "mixture", "got 1 and 200000 Hz"),
    ],
    ids=["long", "long example", "channels", "rate"],
)
def test_more_than_the_limits_is_refused_and_removed(visit, seconds, rate, channels, role, said):
    with pytest.raises(DataError, match=said):
        bring(visit, noise(seconds, rate=rate, channels=channels), role, "a", rate)
    assert left_in(visit) == []


def test_what_only_ffmpeg_reads_is_decoded_and_no_more_of_it_than_may_be(visit, tmp_path):
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("there is no ffmpeg to make an m4a with")
    for seconds in (3, 30):
        song = write_audio(tmp_path / "song.wav", noise(seconds, rate=8000), 8000)
        subprocess.run([ffmpeg, "-loglevel", "error", "-y", "-i", song, tmp_path / "song.m4a"], check=True)
        content = (tmp_path / "song.m4a").read_bytes()
        if seconds == 3:
            assert bring_bytes(visit, content, "song.m4a").sound.duration == pytest.approx(3.0, abs=0.2)
            assert len(left_in(visit)) == 1
        else:
            with pytest.raises(DataError, match=r"song.m4a: expected at most 0:06"):
                bring_bytes(visit, content, "song.m4a")


def test_a_second_mixture_takes_the_place_of_the_first_and_of_what_was_made_of_it(visit, networks):
    bring(visit, noise(1.0, rate=8000))
    take_apart(visit, networks, Order(PATH, NODES))
    assert len(left_in(visit)) > 3
    bring(visit, noise(1.0, rate=8000, seed=1), name="other.wav")
    assert left_in(visit) == [visit.mixture.path.name]
    assert set(visit.files) == {"mixture"}


def test_so_many_examples_and_no_more(visit):
    for number in range(MOST_EXAMPLES):
        bring(visit, tone(0.2, rate=8000), "example", f"{number}.wav")
    with pytest.raises(DataError, match="expected at most 8 examples, got one more"):
        bring(visit, tone(0.2, rate=8000), "example")
    visit.drop("example")
    assert left_in(visit) == []


@pytest.mark.parametrize(
    ("name", "shown", "stem"),
    [
        ("../../etc/passwd", "passwd", "passwd"),
        ("C:\\music\\a <b>.wav", "a <b>.wav", "a _b"),
        ("two\nlines\x1b[31m.wav", "two\\nlines\\x1b[31m.wav", "two_nlines_x1b_31m"),
        ("..", "..", "mixture"),
        ("", "unnamed", "unnamed"),
        ("con.wav", "con.wav", "con_"),
        ("Für Elise: 2.flac", "Für Elise: 2.flac", "Für Elise_ 2"),
        ("x" * 300 + ".wav", "x" * 96 + ".wav", "x" * 80),
    ],
)
def test_names_are_shown_in_a_line_and_lead_nowhere(name, shown, stem):
    assert shown_name(name) == shown
    assert stem_of(shown_name(name)) == stem


# --- what is made of it


def test_the_stems_are_those_of_the_command_line_and_of_python(visit, networks):
    mixture = noise(3.0, rate=16000, channels=2)
    bring(visit, mixture, rate=16000, name="my song.wav")
    stems = take_apart(visit, networks, Order(PATH, ["clean_guitars", "guitar"], residual=True))
    assert list(stems.files) == ["guitar", "clean_guitars", "residual"]
    truth = separate(
        mixture.astype(np.float32), 16000, from_pretrained(FIXTURES / PATH), nodes=["guitar", "clean_guitars"]
    )
    for node, expected in zip(("guitar", "clean_guitars"), truth, strict=True):
        assert error_db(read_audio(visit.files[stems.files[node]]), expected) < -80
    guitar, rest = (read_audio(visit.files[f"{name}.wav"]) for name in ("guitar", "residual"))
    assert error_db(guitar + rest, mixture) < -80
    with zipfile.ZipFile(visit.files[stems.archive]) as archive:
        assert archive.namelist() == [f"my song/{name}.wav" for name in ("guitar", "clean_guitars", "residual")]
        assert archive.read("my song/guitar.wav") == visit.files["guitar.wav"].read_bytes()


def test_the_report_is_headed_by_the_song_and_holds_every_level(visit, networks):
    bring(visit, noise(1.0, rate=8000), name="my <song>.wav")
    stems = take_apart(visit, networks, Order(PATH, ["guitar"], residual=True, report=True))
    page = visit.files[stems.report].read_text(encoding="utf-8")
    assert "my _song" in page
    assert "guitar" in page
    assert str(visit.folder) not in page
    with zipfile.ZipFile(visit.files[stems.archive]) as archive:
        assert "my _song/report.html" in archive.namelist()
    assert "Download the report" in pieces.results(visit, networks[PATH], stems)


def test_an_example_asks_for_what_the_function_is_asked_for(visit, networks):
    mixture, network = noise(2.0, rate=8000), from_pretrained(FIXTURES / QUERY)
    bring(visit, mixture)
    with pytest.raises(DataError, match=r"^example: expected some seconds of the wanted sound alone, got none"):
        take_apart(visit, networks, Order(QUERY, ["class"]))
    example = bring(visit, tone(1.0, rate=8000), "example")
    stems = take_apart(visit, networks, Order(QUERY, ["class"]))
    anchor = find_anchor(network, [example.path])
    expected = separate(mixture.astype(np.float32), 8000, network, nodes=["class"], condition=anchor)[0]
    assert error_db(read_audio(visit.files[stems.files["class"]]), expected) < -80


def test_a_stretch_of_the_mixture_may_be_the_example(visit, networks):
    mixture = np.concatenate([tone(1.0, rate=8000), noise(1.0, rate=8000)], axis=1)
    bring(visit, mixture)
    stems = take_apart(visit, networks, Order(QUERY, ["class"], span="0:00-0:01"))
    from_span = read_audio(visit.files[stems.files["class"]])
    bring(visit, mixture[:, :8000], "example")
    stems = take_apart(visit, networks, Order(QUERY, ["class"]))
    assert error_db(from_span, read_audio(visit.files[stems.files["class"]])) < -80
    with pytest.raises(ConfigError, match="expected a span like 0:10-0:15, got 'soon'"):
        take_apart(visit, networks, Order(QUERY, ["class"], span="soon"))


@pytest.mark.parametrize(
    ("order", "error", "said"),
    [
        (Order("../path", NODES), ConfigError, "^model: expected one of path.safetensors, .*, got '../path'"),
        (Order("guitar-pth", NODES), ConfigError, "did you mean 'guitar-path'"),
        (Order(PATH, []), HierarchyError, "^nodes: expected one or more of strings_guitars_keyboards"),
        (Order(PATH, ["../../etc"]), HierarchyError, "^unknown node '../../etc'"),
        (Order(PATH, NODES, kind="exe"), ConfigError, "^format: expected wav, flac, mp3, got 'exe'"),
        (Order(PATH, NODES, kind="flac", bits="32f"), ConfigError, "^bits: expected 24 or 16 for flac"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(visit, networks, order, error, said):
    bring(visit, noise(0.5, rate=8000))
    with pytest.raises(error, match=said) as caught:
        take_apart(visit, networks, order)
    assert "\n" not in str(caught.value)


def test_files_are_called_as_their_owners_call_them(visit, networks):
    bring(visit, np.full((1, 800), np.nan), name="broken.wav")
    with pytest.raises(DataError, match=r"^broken\.wav: expected finite samples"):
        take_apart(visit, networks, Order(PATH, NODES))
    bring(visit, noise(0.5, rate=8000))
    bring(visit, np.zeros((1, 8000)), "example", "quiet.wav")
    with pytest.raises(DataError, match=r"quiet\.wav: .*expected a sound, got silence") as caught:
        take_apart(visit, networks, Order(QUERY, ["class"]))
    assert str(visit.folder) not in str(caught.value)


def test_results_stay_until_there_are_others_and_those_are_others_to_the_browser(visit, networks):
    bring(visit, noise(0.5, rate=8000))
    pages = []
    for order in (Order(PATH, ["guitar"]), Order(PATH, []), Order(PATH, ["guitar"])):
        before = visit.files.get("guitar.wav")
        if order.nodes:
            pages.append(pieces.results(visit, networks[PATH], take_apart(visit, networks, order)))
            assert before is None or not before.exists()
        else:
            with pytest.raises(HierarchyError):
                take_apart(visit, networks, order)
            assert before.exists()
    assert pages[0] != pages[1]
    assert len(list(visit.folder.glob("result-*"))) == 1


def test_without_a_mixture_nothing_is_done(visit, networks):
    with pytest.raises(DataError, match=r"^mixture: expected an audio file, got none; choose one"):
        take_apart(visit, networks, Order(PATH, NODES))


def test_results_that_have_no_room_are_not_begun(visit, networks, monkeypatch):
    bring(visit, noise(0.5, rate=8000))
    monkeypatch.setattr(work.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(DataError, match=r"song.wav: expected up to 0\.1 MB of room for 3 nodes, got 0\.0 MB"):
        take_apart(visit, networks, Order(PATH, NODES))


def test_clipping_is_told(visit, networks):
    bring(visit, 4.0 * noise(0.5, rate=8000))
    stems = take_apart(visit, networks, Order(PATH, NODES, kind="wav", bits="16"))
    assert any("above full scale" in warning for warning in stems.warnings)
    assert not any(str(visit.folder) in warning for warning in stems.warnings)


def test_networks_are_loaded_once_and_the_last_few_are_kept(monkeypatch):
    networks = Networks([str(FIXTURES / PATH)])
    assert next(iter(networks.descriptions)) == PATH
    assert networks[PATH] is networks[PATH]
    monkeypatch.setattr(Networks, "KEPT", 1)
    first = networks[PATH]
    networks["guitar-path"]
    assert networks[PATH] is not first
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors"):
        Networks(["nowhere.safetensors"])
    with pytest.raises(ConfigError, match=r"another network is named path\.safetensors too"):
        Networks([str(FIXTURES / PATH)] * 2)


def test_every_format_that_can_be_chosen_is_one():
    names = work.format_names()
    assert next(iter(names)) == "wav, 32-bit float"
    assert {kind for kind, _ in names.values()} == {"wav", "flac", "mp3"}
    assert len({work.audio.FileFormat.of(*which) for which in names.values()}) == len(names)


# --- the end


def test_a_visit_that_is_over_has_no_files_and_says_so(visits):
    visit = visits.begin("someone")
    bring(visit, noise(0.5, rate=8000))
    assert visits.of("someone") is visits.with_token(visit.token) is visit
    visits.end("someone")
    assert not visit.folder.exists()
    assert visits.with_token(visit.token) is None
    with pytest.raises(DataError, match="whose files are removed; load the page again"):
        visits.of("someone")


def test_two_visitors_share_nothing(visits, networks):
    one, other = visits.begin("one"), visits.begin("other")
    assert one.folder != other.folder
    assert one.token != other.token
    bring(one, noise(0.5, rate=8000, seed=1))
    bring(other, noise(0.5, rate=8000, seed=2))
    for visit in (one, other):
        take_apart(visit, networks, Order(PATH, ["guitar"]))
    assert error_db(read_audio(one.files["guitar.wav"]), read_audio(other.files["guitar.wav"])) > -20
    visits.end("one")
    assert other.files["guitar.wav"].exists()
    assert not set(one.files.values()) & set(other.files.values())


def test_an_idle_visit_ends_and_a_busy_one_does_not(visits):
    idle, busy, fresh = (visits.begin(name) for name in ("idle", "busy", "fresh"))
    idle.used = busy.used = time.monotonic() - 61 * 60
    with busy.working():
        visits.sweep()
    assert [visit.folder.exists() for visit in (idle, busy, fresh)] == [False, True, True]


def test_what_is_being_done_when_a_visit_ends_is_broken_off_and_removed(visits, networks, monkeypatch):
    visit = visits.begin("someone")
    bring(visit, noise(5.0, rate=8000))
    begun, ended = threading.Event(), threading.Event()
    network = networks[PATH]
    separate_batch = network.separate_batch

    def wait_for_the_end(*arguments):
        begun.set()
        assert ended.wait(10)
        return separate_batch(*arguments)

    monkeypatch.setattr(network, "separate_batch", wait_for_the_end)
    errors = []

    def run():
        try:
            take_apart(visit, networks, Order(PATH, NODES))
        except HiersepError as error:
            errors.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(10)
    visits.end("someone")
    assert visit.folder.exists()
    threading.Timer(0.2, ended.set).start()
    visits.close()  # waits for it
    assert not visit.folder.exists()
    thread.join()
    assert errors == ["this visit has ended; load the page again"]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(sessions.tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_when_the_app_ends_nothing_is_left_whatever_it_ends_by(temporary):
    with pytest.raises(KeyboardInterrupt), keep_sessions(Limits()) as visits:  # noqa: PT012
        bring(visits.begin("someone"), noise(0.5, rate=8000))
        (folder,) = temporary.glob("hiersep-app-*")
        assert folder.stat().st_mode & 0o077 == 0  # nobody else looks in
        raise KeyboardInterrupt
    assert list(temporary.iterdir()) == []


def test_what_a_killed_app_left_is_removed_by_the_next_and_a_running_ones_is_not(temporary, monkeypatch):
    monkeypatch.setattr(sessions, "_YOUNG_S", -1.0)
    for name in ("hiersep-app-killed", "hiersep-app-running", "other"):
        (temporary / name).mkdir()
        (temporary / name / "song").touch()
    script = (
        "import sys, time, hiersep.files as f\nwith f.lock_folder(sys.argv[1]): print(1, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(temporary / "hiersep-app-running")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        try:
            running.stdout.readline()
            remove_left_behind()
        finally:
            running.kill()
    assert sorted(path.name for path in temporary.iterdir()) == ["hiersep-app-running", "other"]
    with lock_folder(temporary / "hiersep-app-running"):
        assert (temporary / "hiersep-app-running" / "song").exists()


@pytest.mark.parametrize("wrong", [{"max_mb": 0}, {"max_minutes": -1}, {"keep_minutes": 0}])
def test_limits_are_positive(wrong):
    (name,) = wrong
    with pytest.raises(ConfigError, match=f"^{name}: expected more than 0"):
        Limits(**wrong)


# --- what is seen


def boxes_of(html):
    """Names of the boxes, each with the names above it."""
    found = {}

    def visit(item, above):
        name = None
        for child in item:
            if child.tag == "label":
                name = child[0].attrib["value"]
                found[name] = above
            if child.tag == "ul":
                for below in child:
                    visit(below, (*above, name) if name else above)

    tree = ElementTree.fromstring(re.sub(r"(<input [^>]*[^/])>", r"\1/>", html))
    for item in tree:
        visit(item, ())
    return found


@pytest.mark.parametrize("name", ["guitar-path", "tree"])
def test_the_tree_has_a_box_for_every_node_that_is_estimated_below_those_above_it(name):
    network = Networks()[name]
    found = boxes_of(pieces.tree(network))
    assert set(found) == set(network.nodes)
    for node, above in found.items():
        assert above == tuple(other for other in network.hierarchy.path(node)[:-1] if other in network.nodes)


def test_the_tree_of_a_network_that_is_asked_by_example_has_its_levels(networks):
    html = pieces.tree(networks[QUERY])
    assert boxes_of(html) == {"group": (), "family": ("group",), "class": ("group", "family")}
    assert "acoustic guitar, clean electric guitar" in html


def test_players_stand_in_the_order_and_at_the_depth_of_the_levels(visit, networks):
    bring(visit, noise(0.5, rate=8000), name="<b>&.wav")
    stems = take_apart(visit, networks, Order(PATH, NODES))
    html = pieces.results(visit, networks[PATH], stems)
    assert "<b>" not in html
    assert re.findall(r"--depth: (\d)", html) == ["0", "1", "2", "3"]
    sources = re.findall(r"src='files/([^/']+)/([^'?]+)\?", html)
    assert sources == [(visit.token, name) for name in ("mixture", *(f"{node}.wav" for node in NODES))]
    assert html.count("download='") == 4  # three stems, and all of them


def test_a_line_is_one_line_and_no_markup():
    line = pieces.notice("a <b>\n  c", "error")
    assert "a &lt;b&gt; c" in line
    assert "role='alert'" in line


# --- the command

HIERSEP = "import sys\n{before}\nfrom hiersep.cli import main\nmain()"


def run_command(*words, before=""):
    command = [sys.executable, "-c", HIERSEP.format(before=before), "app", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_without_gradio_one_line_says_what_to_install():
    done = run_command(before="sys.modules['gradio'] = None")
    assert done.returncode == 2
    assert re.fullmatch(r'hiersep: error: app: expected gradio, .* pip install "hiersep\[app\]"\n', done.stderr)
    assert done.stdout == ""


def test_a_port_that_is_taken_is_said_in_a_line_and_so_is_that_others_can_reach_the_page():
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_command("--host", "0.0.0.0", "--port", str(port))
    assert done.returncode == 2
    warning, error = done.stderr.splitlines()
    assert warning.startswith("hiersep: warning: 0.0.0.0: others can reach this page, and there is no password")
    assert error.startswith(f"hiersep: error: host and port: cannot listen at 0.0.0.0:{port} (Address already in use)")


def test_nothing_but_this_computer_is_answered_by_default():
    with contextlib.closing(listening.listen("127.0.0.1", 0).socket) as here:
        assert here.getsockname()[0] == "127.0.0.1"
    place = listening.listen("::1", 0)
    with contextlib.closing(place.socket):
        assert place.is_local
        assert place.url.startswith("http://[::1]:")
    with pytest.raises(ConfigError, match=r"cannot listen at nowhere\.invalid:0"):
        listening.listen("nowhere.invalid", 0)


def test_the_server_does_not_complain_of_pages_that_went_away():
    uvicorn = pytest.importorskip("uvicorn")
    from hiersep.app.server import Server

    said = io.StringIO()
    handler = logging.StreamHandler(said)
    log = logging.getLogger("uvicorn.error")
    Server(uvicorn.Config("nothing:app", log_level="error"), lambda: None)
    log.addHandler(handler)
    try:
        log.error("ASGI callable returned without completing response.")
        log.error("ASGI callable returned without starting response.")
    finally:
        log.removeHandler(handler)
    assert said.getvalue() == "ASGI callable returned without starting response.\n"
