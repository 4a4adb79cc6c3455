"""What an evaluation leaves on the disk: scores, a table, a picture, and a page that opens from anywhere."""

import json

import numpy as np
import pytest
import soundfile
import torch
from helpers import (
    ACOUSTIC_GUITAR,
    BASS,
    DISTORTED_GUITAR,
    PIANO,
    error_db,
    noise,
    read_audio,
    read_page,
    tone,
    write_slakh,
)

from hiersep import report
from hiersep.config import EvaluationConfig
from hiersep.errors import DataError
from hiersep.evaluation import table
from hiersep.files import TEMPORARY_PREFIX
from hiersep.metrics import si_sdr
from hiersep.models import checkpoint
from hiersep.models.path import PathSeparator
from hiersep.models.query import QuerySeparator
from hiersep.models.tree import TreeSeparator
from hiersep.plots import plot_boxes, plot_over_input, plot_path

PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
SETTINGS = EvaluationConfig(duration=0.5, num_test=4, num_static=2)
FIGURES = {"si_sdr", "si_sdri", "mixture", "static", "oracle"}
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
    report.run_evaluation(model, songs, out, settings=SETTINGS, example=out, device="cpu")
    return out


def test_the_results_have_the_schema_that_was_promised(out, model, songs):
    results = json.loads((out / "results.json").read_text())
    assert {"levels", "whole", "targets", "identical_levels", "data", "model", "seconds", "commit"} <= set(results)
    assert list(results["nodes"]) == list(PATH)
    for node in results["nodes"].values():
        assert set(node) >= {*FIGURES, "clips"}
        assert node["si_sdri"]["mean"] == pytest.approx(node["si_sdr"]["mean"] - node["mixture"]["mean"], abs=1e-6)
        assert np.isfinite([node[key]["mean"] for key in FIGURES]).all()
    assert [node["clips"] for node in results["nodes"].values()] == [2, 1, 1]
    assert results["identical_levels"] == 0.5
    assert (results["data"], results["model"]) == (str(songs), str(model))
    assert results["seconds"] > 0
    assert results["commit"]


def test_the_example_holds_sound_truth_and_a_picture_of_the_clip_with_most_levels(out):
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    waves = {f"{folder}{node}.wav" for folder in ("", "reference/") for node in PATH}
    scores = {"results.json", "results.md", "scores.csv", "clips.json", "levels.png", "improvement.png"}
    assert names == {*scores, "report.html", "path.png", "mixture.wav", *waves}
    for name in [*waves, "mixture.wav"]:
        assert soundfile.info(out / name).frames == 8000
        assert soundfile.info(out / name).samplerate == 16000
    # Track00003 is the one in which all levels differ; its clean guitar is the tone of 400 Hz.
    assert error_db(read_audio(out / "reference" / "clean_guitars.wav"), tone(0.5, hz=400)) < -60
    assert error_db(read_audio(out / "mixture.wav"), sum(s for _, s in SONG)[:, :8000]) < -60


def test_the_page_carries_all_that_it_plays_and_fetches_nothing(out):
    page = read_page(out / "report.html")
    links = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert links == ["data:,"]
    assert not {tag for tag, _ in page.tags} & {"iframe", "object", "embed", "form", "img"}
    (policy,) = [a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; media-src data:; img-src data:; script-src 'sha256-")
    assert "://" not in (out / "report.html").read_text(encoding="utf-8").replace("http://www.w3.org", "")
    lanes = page.lanes()
    assert list(lanes) == ["mixture", *PATH]
    for node, lane in lanes.items():
        sound = page.sounds[int(lane["data-separated"])]
        assert error_db(sound, read_audio(out / f"{node}.wav")) < -70
        if node != "mixture":
            assert error_db(page.sounds[int(lane["data-true"])], read_audio(out / "reference" / f"{node}.wav")) < -70


def test_the_page_says_how_good_each_node_of_the_clip_is(out):
    text = " ".join(read_page(out / "report.html").text.split())
    mixture, reference, estimate = (
        torch.from_numpy(read_audio(path))
        for path in (out / "mixture.wav", out / "reference" / "guitar.wav", out / "guitar.wav")
    )
    ratios = [f"{si_sdr(samples, reference).item():.1f}" for samples in (estimate, mixture)]
    assert f"SI-SDR {ratios[0]} dB, mixture {ratios[1]}" in text


def test_the_page_escapes_names(out):
    page = read_page(out / "report.html")
    assert "R&B <b>live</b> http:" in page.text
    for node in PATH:
        assert node in page.text


def test_a_second_run_computes_nothing_and_a_lost_file_is_made_again(out, model, songs):
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    first = report.run_evaluation(model, songs, out, settings=SETTINGS, example=out, device="cpu")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    (out / "report.html").unlink()
    again = report.run_evaluation(model, songs, out, settings=SETTINGS, example=out, device="cpu")
    assert (out / "report.html").exists()
    assert again == first


def test_what_a_kill_left_beside_a_whole_example_is_removed(out, model, songs, tmp_path):
    report.run_evaluation(model, songs, out, settings=SETTINGS, example=tmp_path, device="cpu")
    whole = set(tmp_path.iterdir())
    (tmp_path / f"{TEMPORARY_PREFIX}x").mkdir()
    report.run_evaluation(model, songs, out, settings=SETTINGS, example=tmp_path, device="cpu")
    assert set(tmp_path.iterdir()) == whole


def test_the_page_of_other_scores_is_written_anew(model, songs, tmp_path):
    shorter = EvaluationConfig(duration=0.25, num_test=4, num_static=2)
    pages = []
    for settings in (SETTINGS, shorter):
        results = report.run_evaluation(model, songs, tmp_path, settings=settings, example=tmp_path, device="cpu")
        pages.append((tmp_path / "report.html").read_text(encoding="utf-8"))
        assert results["key"] in pages[-1]
    assert pages[0] != pages[1]


@pytest.mark.parametrize("kind", ["tree", "query"])
def test_an_example_of_a_tree_or_a_query_holds_what_sounds_in_it(kind, songs, tmp_path):
    sizes = {"hidden_size": 2, "num_layers": 1}
    if kind == "tree":
        network = TreeSeparator("slakh34", network=sizes)
    else:
        network = QuerySeparator("slakh34", network=sizes, query=sizes)
    checkpoint.save(network, tmp_path / "best.safetensors")
    report.run_evaluation(
        tmp_path / "best.safetensors", songs, tmp_path / "out", settings=SETTINGS, example=tmp_path, device="cpu"
    )
    written = {path.stem for path in (tmp_path / "reference").glob("*.wav")}
    assert written
    assert written <= {"plucked_and_keys", "rhythm", "guitar", "keyboards", "bass", "acoustic_guitar", "acoustic_piano",
                       "distorted_electric_guitar", "electric_bass"}  # fmt: skip
    assert (tmp_path / "query.wav").exists() == (kind == "query")
    page = read_page(tmp_path / "report.html")
    assert set(page.lanes()) == {"mixture", *written}
    assert len(page.sounds) == 1 + 2 * len(written)
    assert ("What was asked for" in page.text) == any(tag == "audio" for tag, _ in page.tags) == (kind == "query")


@pytest.mark.parametrize("which", ["out", "example"])
def test_a_place_that_cannot_be_written_to_is_found_before_the_work(model, songs, tmp_path, which, monkeypatch):
    monkeypatch.setattr("hiersep.evaluation.results.score_all", lambda *a, **k: pytest.fail("worked in vain"))
    (tmp_path / "file").write_text("in the way")
    places = {"out": tmp_path / "good", "example": None, which: tmp_path / "file" / "results"}
    with pytest.raises(DataError, match="cannot write here"):
        report.run_evaluation(model, songs, places["out"], settings=SETTINGS, example=places["example"], device="cpu")


def figures(**means):
    names = ("si_sdr", "si_sdri", "mixture", "static", "oracle")
    spreads = {name: {"mean": means[name], "median": means[name] + 0.5, "std": 1.0} for name in names if name in means}
    shares = {"near_silent": 0.25, "exceeding_bins": 0.125, "exceeding_energy": 0.0625, "sum_error": None, "apart": {}}
    return {**dict.fromkeys(names), **shares, **spreads, "clips": 0, "songs": 0}


GUITAR = {
    **figures(si_sdr=3.25, si_sdri=5.25, mixture=-2.0, static=0.0, oracle=9.0), "level": "family", "clips": 12,
    "songs": 3, "apart": {"silent": {"clips": 2, "si_sdr": None, "si_sdri": None, "output_level": -31.0}},
}  # fmt: skip
CLEAN = {
    **figures(), "level": "class", "near_silent": None,
    "apart": {"remainder silent": {"clips": 14, "si_sdr": 4.0, "si_sdri": 1.5, "output_level": -3.0}},
}  # fmt: skip
RESULTS = {
    "kind": "path",
    "levels": {"family": GUITAR, "class": CLEAN},
    "nodes": {"guitar": GUITAR, "clean_guitars": CLEAN},
    "whole": dict.fromkeys(("si_sdr", "si_sdri", "mixture", "static", "oracle")),
    "targets": {},
    "identical_levels": 0.5,
    "nothing_to_separate": 0.0,
}


def test_the_table_has_a_row_per_level_with_the_posters_numbers_and_what_was_counted_apart():
    lines = table(RESULTS).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:5]]
    headings = ["level", "node", "mixture", "static", "network", "oracle", "improvement", "median"]
    assert cells[0] == [*headings, "± std", "clips", "songs"]
    assert cells[2] == ["2", "guitar", "-2.0", "0.0", "3.2", "9.0", "5.2", "5.8", "1.0", "12", "3"]
    assert cells[3] == ["1", "clean_guitars", *["-"] * 7, "0", "0"]
    assert cells[4] == ["all", "mean of the levels", *["-"] * 6, "", "", ""]
    assert len({len(line) for line in lines[:5]}) == 1
    assert "50% of the clips" in lines[6]
    assert lines[7:] == [
        "Counted apart at guitar: 2 silent (outputs -31.0 dB relative to the mixture).",
        "Counted apart at clean_guitars: 14 remainder silent (improvement 1.5).",
        "Near-silent outputs where the reference is salient: 25% guitar, - clean_guitars.",
        "Louder than the parent: 12% of the bins and 6% of the energy guitar, 12% of the bins and 6% of the energy "
        "clean_guitars.",
    ]
    nowhere = {"guitar": {**GUITAR, "exceeding_bins": 0.0}}
    assert "Louder than the parent: nowhere." in table({**RESULTS, "nodes": nowhere})
    summed = {**RESULTS, "nodes": {"guitar": {**GUITAR, "sum_error": -12.34}}}
    assert "Children do not add up to their parent by: -12.3 dB guitar." in table(summed)


def test_pictures_of_the_scores_are_drawn_with_and_without_scores(tmp_path):
    gains = {
        "group": {"estimate": [1.0, 2.0, 5.0], "oracle": [9.0, 11.0, 12.0]},
        "class": {"estimate": [], "oracle": []},
    }
    plot_boxes(tmp_path / "boxes.png", gains)
    plot_over_input(
        tmp_path / "input.png", {"group": [-3.0, 0.0, 2.0], "class": []}, {"group": [1.0, 2.0, 5.0], "class": []}
    )
    for name in ("boxes", "input"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000


@pytest.mark.parametrize("length", [1, 100, 5000])
@pytest.mark.parametrize("known", [True, False])
def test_a_picture_is_drawn_of_any_length_with_or_without_truth_and_of_silence(tmp_path, length, known):
    samples = np.zeros((2, length), np.float32)
    plot_path(tmp_path / "path.png", samples, {"a": samples} if known else {}, {"a": samples}, 8000)
    assert (tmp_path / "path.png").read_bytes().startswith(b"\x89PNG")
