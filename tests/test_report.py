"""What an evaluation leaves on the disk: scores, a table, a picture, and a page that opens from anywhere."""

import base64
import html.parser
import io
import json

import numpy as np
import pytest
import soundfile
import torch
from helpers import ACOUSTIC_GUITAR, BASS, DISTORTED_GUITAR, PIANO, error_db, noise, read_audio, tone, write_slakh

from hiersep import report
from hiersep.config import EvaluationConfig
from hiersep.errors import DataError
from hiersep.models import checkpoint
from hiersep.models.path import PathSeparator
from hiersep.plots import plot_path

PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
SETTINGS = EvaluationConfig(duration=0.5, num_test=4, num_static=2)
LEVEL_KEYS = {"si_sdr", "si_sdri", "mixture", "static", "oracle", "clips"}
SONG = [
    (ACOUSTIC_GUITAR, tone(1.0, hz=400)), (DISTORTED_GUITAR, tone(1.0, hz=1000)), (PIANO, tone(1.0, hz=2000)),
    (BASS, tone(1.0, hz=150)),
]  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    sizes = {"hidden_size": 2, "num_layers": 1}
    path = tmp_path_factory.mktemp("model") / "best.safetensors"
    network = PathSeparator("slakh_ismir2020", PATH, spectrum={"n_fft": 256, "hop_length": 128}, network=sizes)
    checkpoint.save(network, path)
    return path


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    # A name that a page must escape.
    folder = tmp_path_factory.mktemp("songs") / "R&B <b>live</b> http:"
    lonely = [(ACOUSTIC_GUITAR, tone(1.0, hz=400)), (BASS, noise(1.0))]
    return write_slakh(folder, {"train/Track00001": SONG, "test/Track00002": lonely, "test/Track00003": SONG})


@pytest.fixture(scope="module")
def out(model, songs, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "results"
    report.run_evaluation(model, songs, out, settings=SETTINGS, example=out)
    return out


class Page(html.parser.HTMLParser):
    """Collects tags with their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_the_scores_have_the_schema_that_was_promised(out, model, songs):
    scores = json.loads((out / "scores.json").read_text())
    assert {"levels", "identical_levels", "data", "model", "seconds", "commit"} <= set(scores)
    assert list(scores["levels"]) == list(PATH)
    for level in scores["levels"].values():
        assert set(level) >= LEVEL_KEYS
        assert level["si_sdri"] == pytest.approx(level["si_sdr"] - level["mixture"], abs=1e-6)
        assert np.isfinite([level[key] for key in LEVEL_KEYS]).all()
    assert [level["clips"] for level in scores["levels"].values()] == [2, 1, 1]
    assert scores["identical_levels"] == 0.5
    assert (scores["data"], scores["model"]) == (str(songs), str(model))
    assert scores["seconds"] > 0
    assert scores["commit"]


def test_the_example_holds_sound_truth_and_a_picture_of_the_clip_with_most_levels(out):
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    waves = {f"{folder}{node}.wav" for folder in ("", "reference/") for node in PATH}
    assert names == {"scores.json", "clips.csv", "report.html", "path.png", "mixture.wav", *waves}
    for name in [*waves, "mixture.wav"]:
        assert soundfile.info(out / name).frames == 8000
        assert soundfile.info(out / name).samplerate == 16000
    # Track00003 is the one in which all levels differ; its clean guitar is the tone of 400 Hz.
    assert error_db(read_audio(out / "reference" / "clean_guitars.wav"), tone(0.5, hz=400)) < -60
    assert error_db(read_audio(out / "mixture.wav"), sum(s for _, s in SONG)[:, :8000]) < -60


def test_the_page_carries_all_that_it_shows(out):
    text = (out / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    links = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert len(links) == 8
    assert all(link.startswith("data:") for link in links)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "b"}
    assert "://" not in text
    sounds = [a["src"] for tag, a in page.tags if tag == "audio"]
    mixture, _ = soundfile.read(io.BytesIO(base64.b64decode(sounds[0].split(",", 1)[1])))
    np.testing.assert_array_equal(mixture, read_audio(out / "mixture.wav")[0])


def test_the_page_escapes_names(out):
    page = Page((out / "report.html").read_text(encoding="utf-8"))
    assert "R&B <b>live</b> http:" in page.text
    for node in PATH:
        assert node in page.text


def test_a_second_run_computes_nothing_and_a_lost_file_is_made_again(out, model, songs):
    before = (out / "scores.json").stat().st_mtime_ns
    first = report.run_evaluation(model, songs, out, settings=SETTINGS, example=out)
    assert (out / "scores.json").stat().st_mtime_ns == before
    (out / "report.html").unlink()
    again = report.run_evaluation(model, songs, out, settings=SETTINGS, example=out)
    assert (out / "report.html").exists()
    assert again["levels"] == first["levels"]


def test_other_settings_are_computed_anew(model, songs, tmp_path):
    first = report.run_evaluation(model, songs, tmp_path, settings=SETTINGS)
    shorter = EvaluationConfig(duration=0.25, num_test=4, num_static=2)
    second = report.run_evaluation(model, songs, tmp_path, settings=shorter)
    assert second["settings"]["duration"] == 0.25
    assert second["key"] != first["key"]


@pytest.mark.parametrize("which", ["out", "example"])
def test_a_place_that_cannot_be_written_to_is_found_before_the_work(model, songs, tmp_path, which, monkeypatch):
    monkeypatch.setattr(report, "_evaluate", lambda *args: pytest.fail("worked in vain"))
    (tmp_path / "file").write_text("in the way")
    places = {"out": tmp_path / "good", "example": None, which: tmp_path / "file" / "results"}
    with pytest.raises(DataError, match="cannot write here"):
        report.run_evaluation(model, songs, places["out"], settings=SETTINGS, example=places["example"])


SCORES = {
    "levels": {
        "guitar": {
            "si_sdr": 3.25, "si_sdri": 5.25, "si_sdri_std": 1.0, "mixture": -2.0, "static": 0.0, "oracle": 9.0,
            "clips": 12, "songs": 3, "counted_apart": {"silent": 2},
        },
        "clean_guitars": {
            "si_sdr": None, "si_sdri": None, "si_sdri_std": None, "mixture": None, "static": None, "oracle": None,
            "clips": 0, "songs": 0, "counted_apart": {"remainder silent": 14},
        },
    },
    "identical_levels": 0.5,
    "nothing_to_separate": 0.0,
}  # fmt: skip


def test_the_table_has_a_row_per_level_with_the_posters_numbers_and_what_was_counted_apart():
    lines = report.table(SCORES).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:5]]
    headings = ["level", "node", "mixture", "static", "network", "oracle", "improvement", "± std", "clips", "songs"]
    assert cells[0] == headings
    assert cells[2] == ["2", "guitar", "-2.0", "0.0", "3.2", "9.0", "5.2", "1.0", "12", "3"]
    assert cells[3] == ["1", "clean_guitars", *["-"] * 6, "0", "0"]
    assert cells[4][:7] == ["all", "mean of the levels", *["-"] * 5]
    assert len({len(line) for line in lines[:5]}) == 1
    assert "identical" not in lines[-1]
    assert "50%" in lines[6]
    assert lines[7:] == ["Counted apart at guitar: 2 silent.", "Counted apart at clean_guitars: 14 remainder silent."]


@pytest.mark.parametrize("length", [1, 100, 5000])
@pytest.mark.parametrize("known", [True, False])
def test_a_picture_is_drawn_of_any_length_with_or_without_truth_and_of_silence(tmp_path, length, known):
    samples = np.zeros((2, length), np.float32)
    plot_path(tmp_path / "path.png", samples, {"a": samples} if known else {}, {"a": samples}, 8000)
    assert (tmp_path / "path.png").read_bytes().startswith(b"\x89PNG")
