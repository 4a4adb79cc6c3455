"""Annotations: the very recipe comes back, scaper makes the same mixture of it, and nothing else is ever opened."""

import dataclasses
import json

import jams
import numpy as np
import pytest
from helpers import ACOUSTIC_GUITAR, BASS, PIANO, RATE, WHISTLE, error_db, noise, write_slakh

from hiersep.compat import scaper
from hiersep.data.annotation import to_jams
from hiersep.data.catalog import open_dataset
from hiersep.data.events import Event, MixtureSpec
from hiersep.data.mixers import make_mixer
from hiersep.data.recipe import Recipe, audible, render_recipe
from hiersep.data.restoring import read_annotation
from hiersep.data.sampling import Clip, claims_of
from hiersep.errors import DataError
from hiersep.hierarchy import Hierarchy

ISMIR = Hierarchy.load("slakh_ismir2020")
NODES = ISMIR.path("clean_guitars")[1:]
CLIP_S = 0.5


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    """Three tracks of 3 s, the second piano only 1 s long; the whistle is claimed by no node."""
    folder = tmp_path_factory.mktemp("annotated")
    tracks = {
        f"train/Track0000{n}": [
            (ACOUSTIC_GUITAR, noise(3.0, seed=n)),
            (PIANO, noise(1.0 if n == 1 else 3.0, seed=10 + n)),
            (BASS, noise(3.0, seed=20 + n)),
            (WHISTLE, noise(3.0, seed=30 + n)),
        ]
        for n in range(3)
    }
    return open_dataset(write_slakh(folder, tracks), jobs=1)


MIXINGS = {
    "coherent": "coherent",
    "incoherent": "incoherent",
    "placed": {"gain": ["normal", 0, 6], "offset": ["uniform", 0, 0.4], "num_sources": ["uniform", 0, 3]},
    "shifted": {"snr": ["uniform", -6, 6], "pitch_shift": ["normal", 0, 3], "time_stretch": ["uniform", 0.7, 1.4]},
    "augmented": {"augmentation": 0.5, "gain": ["uniform", -3, 3], "offset": ["choose", [0, 0.1]]},
}


@pytest.fixture(scope="module")
def mixers(catalog):
    return {name: make_mixer(mixing, catalog, [0, 1, 2], ISMIR, CLIP_S) for name, mixing in MIXINGS.items()}


def draw(catalog, mixers, name, seed, **options):
    rng = np.random.default_rng(seed)
    clip = Clip(int(rng.integers(3)), float(rng.uniform(0, 2.4)))
    spec = mixers[name].remix(clip, claims_of(catalog, clip.track, ISMIR), rng)
    return Recipe(spec, ISMIR, NODES, seed=7, index=seed, **options)


def save(catalog, recipe, path):
    rendition = render_recipe(catalog, recipe)
    to_jams(catalog, recipe, rendition).save(str(path))
    return rendition


@pytest.mark.parametrize(
    ("name", "count"), [("coherent", 50), ("incoherent", 50), ("placed", 60), ("shifted", 20), ("augmented", 20)]
)
def test_of_two_hundred_mixtures_the_recipe_comes_back_as_it_was(catalog, mixers, name, count, tmp_path):
    for seed in range(count):
        recipe = draw(catalog, mixers, name, seed, channels=1 + seed % 2, audio=("wav", "flac")[seed % 2])
        rendition = save(catalog, recipe, tmp_path / "x.jams")
        annotation = read_annotation(tmp_path / "x.jams")
        assert annotation.recipe(catalog) == recipe
        if seed < 5:
            again = render_recipe(catalog, annotation.recipe(catalog))
            assert again.mixture.tobytes() == rendition.mixture.tobytes()
            assert again.submixes.tobytes() == rendition.submixes.tobytes()
            assert again.digest == rendition.digest == annotation.settings.digest


def test_targets_and_queries_come_back_too(catalog, mixers, tmp_path):
    recipe = draw(catalog, mixers, "placed", 3)
    spec = dataclasses.replace(recipe.spec, target="guitar", query=Event(2, 0, 0.5, 0.6), track=None)
    recipe = dataclasses.replace(recipe, spec=spec)
    save(catalog, recipe, tmp_path / "x.jams")
    assert read_annotation(tmp_path / "x.jams").recipe(catalog) == recipe


@pytest.mark.adapters
@pytest.mark.filterwarnings("ignore:Soundscape audio is clipping")  # by one rounding above full scale
@pytest.mark.parametrize("name", ["coherent", "incoherent", "placed", "shifted"])
def test_scaper_makes_the_same_mixture_and_the_same_events(catalog, mixers, name, tmp_path):
    for seed in range(4):
        recipe = draw(catalog, mixers, name, seed)
        rendition = save(catalog, recipe, tmp_path / "x.jams")
        heard = audible(rendition, recipe)
        if not heard:
            continue
        mixture, _, _, events = scaper.generate_from_jams(str(tmp_path / "x.jams"))
        assert mixture.shape == (round(CLIP_S * RATE), 1)
        assert error_db(mixture.T, rendition.mixture) < -60
        for event, number in zip(events, heard, strict=True):
            assert error_db(event.T, rendition.events[number]) < -60


@pytest.mark.adapters
@pytest.mark.filterwarnings("ignore:Soundscape audio is clipping")
def test_scaper_makes_a_protected_mixture_too_of_short_and_silent_events(catalog, tmp_path):
    events = (
        Event(0, 0, 0.5, CLIP_S, gain_db=25.0),  # far above full scale
        Event(0, 1, 0.5, 1 / RATE, event_time=0.3),  # one sample
        Event(1, 1, 0.9, CLIP_S, gain_db=3.0),  # the stem ends within it
        Event(1, 1, 2.0, CLIP_S),  # past its end: silent
        Event(0, 2, 0.1, 0.05, event_time=CLIP_S - 0.01),  # cut by the mixture's end
        Event(0, 2, 0.1, CLIP_S, gain_db=-60.0),
    )
    claims = tuple(claims_of(catalog, event.track, ISMIR)[event.stem] for event in events)
    recipe = Recipe(MixtureSpec(events, claims, CLIP_S), ISMIR, NODES)
    rendition = save(catalog, recipe, tmp_path / "x.jams")
    assert rendition.peak > 1
    assert np.abs(rendition.mixture).max() <= 1
    assert audible(rendition, recipe) == [0, 2, 5, 1, 4]
    mixture, _, _, _ = scaper.generate_from_jams(str(tmp_path / "x.jams"))
    assert error_db(mixture.T, rendition.mixture) < -60


def test_the_gain_that_is_annotated_is_the_one_that_was_applied(catalog, mixers, tmp_path):
    config = {"snr": ["uniform", -6, 6], "ref_db": -30}
    mixer = make_mixer(config, catalog, [0, 1, 2], ISMIR, CLIP_S)
    spec = mixer.remix(Clip(0, 1.0), claims_of(catalog, 0, ISMIR), np.random.default_rng(0))
    recipe = Recipe(spec, ISMIR, NODES, ref_db=-30.0)
    assert save(catalog, recipe, tmp_path / "x.jams").peak == 1
    (annotation,) = jams.load(str(tmp_path / "x.jams")).annotations
    for observation in annotation.data:
        assert -6 <= observation.value["snr"] <= 6  # as drawn: nothing was protected


def test_the_sums_of_a_rendition_hold(catalog, mixers):
    for seed in range(20):
        recipe = draw(catalog, mixers, "augmented", seed)
        rendition = render_recipe(catalog, recipe)
        assert np.abs(rendition.events.sum(axis=0) - rendition.mixture).max() < 1e-6
        for node, submix in zip(recipe.nodes, rendition.submixes, strict=True):
            below = {node, *ISMIR.descendants(node)}
            held = [number for number, claim in enumerate(recipe.spec.claims) if claim in below]
            assert np.abs(rendition.events[held].sum(axis=0) - submix).max() < 1e-6


# --- what is no annotation


def test_no_file_is_read_that_an_annotation_names_as_its_hierarchy(sandbox, tmp_path):
    content, read = sandbox
    (tmp_path / "secret.yaml").write_text(ISMIR.dump())
    for name in (str(tmp_path / "secret.yaml"), "../secret.yaml", "slakh_ismir2020"):
        content["hierarchy"] = name
        with pytest.raises(DataError, match="hierarchy: expected a mapping"):
            read()


@pytest.fixture
def sandbox(catalog, mixers, tmp_path):
    """The JSON of an annotation, and a function that reads it when it is changed."""
    path = tmp_path / "x.jams"
    save(catalog, draw(catalog, mixers, "coherent", 0), path)
    content = json.loads(path.read_text())

    def read():
        path.write_text(json.dumps(content))
        return read_annotation(path).recipe(catalog)

    return content["sandbox"]["hiersep"], read


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["format"], 2, "expected format 1 or lower, got 2: written by a later version"),
        (["channels"], 7, "channels: expected 1 or 2, got 7"),
        (["audio"], "mp3", "audio: expected wav or flac, got 'mp3'"),
        (["sample_rate"], 1e9, "expected a whole number"),
        (["nodes"], ["violine"], "violine"),
        (["spec", "claims"], ["guitar"], "spec: claims: expected 4 of them, got 1"),
        (["spec", "claims", 0], "gitar", "gitar"),
        (["spec", "duration"], 1e9, "duration: expected more than 0, at most 3600 s"),
        (["spec", "track"], "Track99999", "Track99999"),
        (["spec", "events"], 3, "expected the annotation of a mixture, got something else"),
        (["spec", "events", 0, "file"], "../../../etc/passwd", "has no stem"),
        (["spec", "events", 0, "file"], "/etc/passwd", "has no stem"),
        (["spec", "events", 0, "stream"], 1, "has no stem"),
        (["spec", "events", 0, "duration"], 1e9, "duration: expected more than 0, at most 3600 s"),
        (["spec", "events", 0, "source_time"], -1, "source_time: expected 0 seconds or more, got -1"),
        (["spec", "events", 0, "source_time"], float("inf"), "source_time: expected 0 seconds or more"),
        (["spec", "events", 0, "gain_db"], float("nan"), "gain_db: expected -300 to 300 dB, got nan"),
        (["spec", "events", 0, "time_stretch"], 0, "time_stretch: expected 0.25 to 4"),
        (["spec", "events", 0, "loud"], 3, "unknown key 'loud'"),
        (["spec", "events", 0, "gain_db"], 10**400, "gain_db: expected a number, got one of more than 300 digits"),
        (["spec", "start_s"], float("nan"), "start_s: expected 0 seconds or more, got nan"),
        (["seed"], -1, "seed: expected 0 or more"),
        (["index"], 2**64, "index: expected 0 or more, in 63 bits"),
        (["peak"], 0.0, "peak: expected more than 0"),
        (["ref_db"], float("inf"), "ref_db: expected -300 to 300 LUFS"),
        (["hierarchy"], {"name": "x"}, "levels"),
    ],
)
def test_a_value_that_cannot_be_is_named(sandbox, keys, value, message):
    content, read = sandbox
    *path, last = keys
    for key in path:
        content = content[key]
    content[last] = value
    with pytest.raises(DataError) as caught:
        read()
    assert message in str(caught.value)
    assert "x.jams" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", [["spec"], ["nodes"], ["spec", "events", 0, "gain_db"], ["spec", "query"]])
def test_what_is_missing_is_named(sandbox, missing):
    content, read = sandbox
    *path, last = missing
    for key in path:
        content = content[key]
    del content[last]
    with pytest.raises(DataError, match=rf"x\.jams: .*{last}"):
        read()


LATE = '{"annotations": [{"namespace": "beat", "data": [{"time": 1%s, "duration": 0}]}]}' % ("0" * 400)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "nonsense", "[" * 5000, '{"annotations": 3}', '{"sandbox": {"hiersep": 3}}', LATE]
)
def test_a_file_that_is_no_annotation_is_refused(tmp_path, text):
    (tmp_path / "x.jams").write_text(text)
    with pytest.raises(DataError, match=r"x\.jams: expected the JAMS of a mixture that hiersep wrote"):
        read_annotation(tmp_path / "x.jams")
    with pytest.raises(DataError, match=r"none\.jams: expected the JAMS"):
        read_annotation(tmp_path / "none.jams")
