"""A network by its name: shipped, or on the Hugging Face hub, of which a stub stands here; a path is a path first."""

import functools
import http.server
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import errors

import hiersep
from hiersep.errors import CheckpointError
from hiersep.models import checkpoint, locating
from hiersep.models.locating import HubName, list_pretrained, locate, parse_hub_name
from hiersep.models.path import PathSeparator
from hiersep.models.transfer import take_over
from hiersep.separation import HierarchicalSeparator

# What the hub raises where there is no such file; its own kind of error in later versions.
NO_FILE = getattr(errors, "RemoteEntryNotFoundError", errors.EntryNotFoundError)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def network():
    return PathSeparator("musdb18", ["vocals"], network={"hidden_size": 2, "num_layers": 1})


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    checkpoint.save(network(), path, {"description": "Vocals of nothing."})
    return path


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Stand in an empty folder, beside an empty one of shipped networks."""
    (tmp_path / "here").mkdir()
    (tmp_path / "shipped").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(locating, "SHIPPED", tmp_path / "shipped")
    return tmp_path


@pytest.fixture
def shipped(here, saved):
    for name in ("guitar-path", "any-query"):
        (here / "shipped" / f"{name}.safetensors").write_bytes(saved.read_bytes())
    (here / "shipped" / "README.md").write_text("not a network")
    return here / "shipped"


@pytest.fixture
def asked(monkeypatch, saved):
    """What the hub is asked for; it has one file for whoever asks."""
    questions = []

    def hf_hub_download(repo_id, filename, **options):
        questions.append((repo_id, filename, options["revision"]))
        return str(saved)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    return questions


# shipped


def test_shipped_networks_are_listed_with_a_line_each_and_load(shipped):
    assert hiersep.list_pretrained() == {"any-query": "Vocals of nothing.", "guitar-path": "Vocals of nothing."}
    assert hiersep.from_pretrained("guitar-path").nodes == ("vocals",)
    assert PathSeparator.from_pretrained("guitar-path").nodes == ("vocals",)
    assert checkpoint.describe("guitar-path")["provenance"]["description"] == "Vocals of nothing."
    assert take_over(network(), "guitar-path").source == "guitar-path"


def test_the_separator_takes_a_shipped_name(shipped):
    import numpy as np

    from hiersep.compat import nussl

    mix = nussl.AudioSignal(audio_data_array=np.zeros((1, 3000)), sample_rate=16000)
    assert HierarchicalSeparator(mix, "guitar-path", device="cpu").nodes == ("vocals",)


def test_a_network_that_says_nothing_of_itself_is_described_by_what_it_estimates(here):
    checkpoint.save(network(), here / "shipped" / "quiet.safetensors")
    assert list_pretrained() == {"quiet": "PathSeparator: vocals"}


def test_what_is_shipped_now_loads_and_has_a_card(monkeypatch):
    monkeypatch.setattr(locating, "SHIPPED", Path(locating.__file__).with_name("pretrained"))
    assert (locating.SHIPPED / "README.md").is_file()
    assert set(list_pretrained()) == {"guitar-path", "query", "tree"}
    for name, description in list_pretrained().items():
        card = (locating.SHIPPED / f"{name}.md").read_text()
        assert card.splitlines()[0] == f"# {name}: {description}"
        model = checkpoint.from_pretrained(name)
        assert f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters" in card
        scores = checkpoint.describe(name)["provenance"]["improvement_db"]
        assert set(scores) == {"composed", "played_test"}
        for set_name, levels in scores.items():
            table = card[card.index(f"<!-- begin {set_name} table") : card.index(f"<!-- end {set_name} table")]
            rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line[:1] == "|"]
            levels_rows = [row for row in rows if row[0].isdigit()][: len(levels)]  # the levels as a whole stand first
            said = [float(row[6]) for row in levels_rows]
            assert said == pytest.approx(list(levels.values()), abs=0.051)
    assert sum(path.stat().st_size for path in locating.SHIPPED.glob("*.safetensors")) < 40e6


def test_an_unknown_name_lists_the_shipped_ones_and_the_near_miss(shipped):
    with pytest.raises(CheckpointError) as caught:
        locate("gitar-path")
    for word in ("gitar-path: ", "did you mean 'guitar-path'?", "shipped are any-query, guitar-path"):
        assert word in str(caught.value)


def test_where_nothing_is_shipped_that_is_said(asked):
    with pytest.raises(CheckpointError, match="none is shipped"):
        locate("guitar-path")
    assert asked == []
    assert list_pretrained() == {}


def test_a_file_comes_before_a_shipped_name_and_a_folder_does_not_hide_it(shipped, here, saved):
    (here / "here" / "guitar-path").mkdir()
    assert locate("guitar-path") == shipped / "guitar-path.safetensors"
    (here / "here" / "any-query").write_bytes(saved.read_bytes())
    assert locate("any-query") == Path("any-query")


# names on the hub


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user/model", HubName("user/model", None, "model.safetensors")),
        ("User-1/my.model_v2", HubName("User-1/my.model_v2", None, "model.safetensors")),
        ("user/model@v1.0", HubName("user/model", "v1.0", "model.safetensors")),
        ("user/model@refs/pr/1", HubName("user/model", "refs/pr/1", "model.safetensors")),
        (f"user/model@{COMMIT}", HubName("user/model", COMMIT, "model.safetensors")),
        ("user/model:small.safetensors", HubName("user/model", None, "small.safetensors")),
        ("user/model@main:a/b c.safetensors", HubName("user/model", "main", "a/b c.safetensors")),
    ],
)
def test_a_hub_name_is_read_and_asked_for(text, expected, asked, saved):
    assert parse_hub_name(text) == expected
    assert locate(text) == saved
    assert locate(Path(text)) == saved
    assert asked == [(expected.repository, expected.file, expected.revision)] * 2


@pytest.mark.parametrize(
    "text",
    [
        "user/model:pytorch_model.bin",
        "user/model:weights.ckpt",
        "user/model:model.safetensors.pkl",
        "user/model:../other.safetensors",
        "user/model:/etc/x.safetensors",
        "user/model:a//b.safetensors",
        "user/model@../../main",
        "user/model@/main",
    ],
)
def test_nothing_but_a_safetensors_file_of_the_repository_is_asked_for(text, asked):
    with pytest.raises(CheckpointError, match=r"expected a file \*\.safetensors within the repository"):
        locate(text)
    assert asked == []


@pytest.mark.parametrize(
    "text",
    [
        "exp/best.safetensors",
        "exp/last.ckpt",
        "exp/model.pt",
        "/exp/best",
        "./exp/best",
        "../best",
        "exp/first/best",
        "exp/",
        "best",
        "https://huggingface.co/user/model",
        "user/mo del",
        "user/model@",
        "",
    ],
)
def test_a_mistyped_path_is_not_asked_for_on_the_hub(text, asked):
    with pytest.raises(CheckpointError, match="no such file"):
        checkpoint.describe(text)
    assert asked == []


def test_a_path_that_exists_is_the_path(here, saved, asked):
    (here / "here" / "user").mkdir()
    (here / "here" / "user" / "model").write_bytes(saved.read_bytes())
    assert checkpoint.from_pretrained("user/model").nodes == ("vocals",)
    (here / "here" / "user" / "folder").mkdir()
    with pytest.raises(CheckpointError, match="got a folder"):
        checkpoint.from_pretrained("user/folder")
    assert asked == []


def raised(kind):
    error = kind.__new__(kind)
    error.args = ("404 Client Error.\nSorry, we can't find this: https://huggingface.co/...",)
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (raised(errors.RepositoryNotFoundError), ["no such repository", "log in"]),
        (raised(errors.GatedRepoError), ["none that you may read", "log in"]),
        (raised(errors.RevisionNotFoundError), ["no such revision"]),
        (raised(NO_FILE), ["holds no model.safetensors", "user/model:FILE.safetensors"]),
        (errors.LocalEntryNotFoundError("no connection"), ["cannot be reached", "name its path"]),
        (errors.HFValidationError("strange name"), ["strange name"]),
        (errors.OfflineModeIsEnabled("offline\nmode"), [r"offline\nmode"]),
        (OSError(28, "No space left on device"), ["No space left"]),
        (RuntimeError("x" * 5000), ["x" * 200]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_goes_wrong_on_the_hub_is_said_in_a_line(monkeypatch, error, words):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.from_pretrained("user/model@v1")
    message = str(caught.value)
    assert message.startswith("user/model@v1: ")
    assert "\n" not in message
    assert len(message) < 400
    for word in words:
        assert word in message


# a hub


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers as the hub does for the repository user/model, of the given files, and notes what it is asked."""

    def __init__(self, files, requests, *arguments):
        self.files, self.requests = files, requests
        super().__init__(*arguments)

    def do_HEAD(self):
        self.requests.append(f"{self.command} {self.path}")
        match = re.fullmatch(rf"/user/model/resolve/(main|v1|{COMMIT})/([^?]*)", self.path)
        content = self.files.get(match[2]) if match else None
        self.send_response(404 if content is None else 200)
        if content is None:
            self.send_header("X-Error-Code", "EntryNotFound" if match else "RepoNotFound")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{len(content or b"")}"')
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if self.command == "GET" and content is not None:
            self.wfile.write(content)

    do_GET = do_HEAD

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(saved, tmp_path):
    """A hub on this machine: its address in an environment, and what it was asked for."""
    requests = []
    files = {"model.safetensors": saved.read_bytes(), "pytorch_model.bin": b"malice", "config.json": b"{}"}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Hub, files, requests))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "cache")}
    yield environment, requests
    server.shutdown()
    server.server_close()


def info(name, environment):
    command = [sys.executable, "-c", "from hiersep.cli import main; main()", "info", name, "--json"]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_one_file_and_no_other_comes_from_a_hub_and_stays_for_when_it_is_gone(hub, tmp_path):
    environment, requests = hub
    done = info("user/model", environment)
    assert done.returncode == 0, done.stderr
    assert '"description": "Vocals of nothing."' in done.stdout
    fetched = {path for path in (request.split()[1] for request in requests) if path.startswith("/user")}
    assert fetched == {"/user/model/resolve/main/model.safetensors"}
    assert {path.suffix for path in (tmp_path / "cache").rglob("snapshots/*/*")} == {".safetensors"}
    offline = info("user/model", {**environment, "HF_HUB_OFFLINE": "1"})
    assert offline.stdout == done.stdout


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("user/model:other.safetensors", "user/model: the repository holds no other.safetensors"),
        ("user/other", "user/other: no such file here, and no such repository"),
    ],
)
def test_what_a_hub_has_not_is_one_line_and_exit_code_2(hub, name, words):
    environment, _ = hub
    done = info(name, environment)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"hiersep: error: {words}")


def test_without_a_network_the_error_is_one_line(hub):
    environment, _ = hub
    done = info("user/model", {**environment, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "cannot be reached" in line
