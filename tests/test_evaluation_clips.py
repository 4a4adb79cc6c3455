"""Which clips are scored: the same by a seed as by the list that an evaluation wrote, for whatever network."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import ACOUSTIC_GUITAR, BASS, PIANO, noise, tone, write_audio, write_slakh

from hiersep.config import EvaluationConfig
from hiersep.data.dataset import HierarchicalMixtureDataset
from hiersep.errors import ConfigError, DataError, HierarchyError
from hiersep.evaluation.clips import ClipList, ClipPlace, QueryPlace, choose_clips, read_clips, write_clips
from hiersep.evaluation.items import ClipSet
from hiersep.models.path import PathSeparator
from hiersep.models.query import QuerySeparator
from hiersep.models.tree import TreeSeparator

PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
SIZES = {"hidden_size": 2, "num_layers": 1}
SETTINGS = EvaluationConfig(duration=2.0, query_duration=1.0, num_test=7, seed=3)


def path():
    return PathSeparator("slakh_ismir2020", PATH, network=SIZES)


def query():
    return QuerySeparator("slakh_ismir2020", ["group", "class"], network=SIZES, query=SIZES)


def tree():
    return TreeSeparator("slakh_ismir2020", ["strings_guitars_keyboards", "superlevel_bass", "guitar"], network=SIZES)


@pytest.mark.parametrize("make", [path, query, tree])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_listed_clip_is_the_item_of_the_data_set_that_it_was_drawn_from(make, channels, rendered):
    model = make()
    kinds = {
        path: {"target": list(PATH), "salient": [PATH[-1]]},
        query: {"query": True, "levels": ["group", "class"], "query_duration": 1.0},
        tree: {"target": list(model.nodes), "salient": ["superlevel_bass", "guitar"]},
    }
    dataset = HierarchicalMixtureDataset(
        rendered, "slakh_ismir2020", split="test", num_mixtures=7, duration=2.0, seed=3, balanced=True,
        channels=channels, **kinds[make],
    )  # fmt: skip
    clips = ClipSet(*choose_clips(model, rendered, SETTINGS), model, channels=channels)
    assert len(clips) == len(dataset) > 3
    for number in range(len(clips)):
        item, expected = clips[number], dataset[number]
        assert item.keys() - {"remainder"} == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(item[name], tensor, rtol=0, atol=1e-6)
        assert list(clips.nodes(number)) == dataset.process_item(number)["metadata"]["nodes"]


def test_networks_of_different_nodes_have_the_same_clips_where_the_settings_name_what_sounds(rendered):
    named = replace(SETTINGS, salient=["clean_guitars"])
    tops = PathSeparator("slakh_ismir2020", PATH[:1], network=SIZES)
    lists = [choose_clips(model, rendered, named)[0] for model in (path(), tops, tree())]
    assert lists == [choose_clips(path(), rendered, SETTINGS)[0]] * 3
    assert choose_clips(tops, rendered, SETTINGS)[0] != lists[0]
    with pytest.raises(ConfigError, match="salient: expected none beside queries"):
        choose_clips(query(), rendered, named)


def test_a_clip_is_the_same_sound_for_every_network(tmp_path):
    # The bass alone peaks at 1.5; in the mixture the guitar takes half of it back.
    loud = [(BASS, 1.5 * np.sign(tone(1.0, hz=100))), (ACOUSTIC_GUITAR, -0.75 * np.sign(tone(1.0, hz=100)))]
    songs = write_slakh(tmp_path, {"test/Track00001": [*loud, (PIANO, tone(1.0, hz=2000, db=-25))]})
    settings = EvaluationConfig(duration=1.0)
    items = []
    for nodes in (PATH, PATH[:1], ["superlevel_bass"]):
        model = PathSeparator("slakh_ismir2020", nodes, network=SIZES)
        items.append(ClipSet(*choose_clips(model, songs, settings), model)[0]["mix"])
    torch.testing.assert_close(items[0], items[1], rtol=0, atol=1e-6)
    torch.testing.assert_close(items[0], items[2], rtol=0, atol=1e-6)


def test_the_remainders_are_what_the_parent_and_the_mixture_hold_besides(tmp_path):
    parts = [(ACOUSTIC_GUITAR, tone(1.0, hz=400, db=-20)), (PIANO, tone(1.0, hz=2000, db=-30))]
    songs = write_slakh(tmp_path, {"test/Track00001": [*parts, (BASS, tone(1.0, hz=100, db=-10))]})
    model = PathSeparator("slakh_ismir2020", ["guitar"], network=SIZES)  # its parent is not estimated, but there
    item = ClipSet(*choose_clips(model, songs, EvaluationConfig(duration=1.0)), model)[0]
    assert item["remainder"][0].tolist() == pytest.approx([-30, -10], abs=0.01)


@pytest.mark.parametrize("make", [path, query, tree])
def test_a_list_is_read_as_it_was_written_and_gives_the_same_clips(make, rendered, tmp_path):
    drawn, catalog = choose_clips(make(), rendered, SETTINGS)
    write_clips(tmp_path / "clips.json", drawn)
    settings = EvaluationConfig(clips=str(tmp_path / "clips.json"), duration=9.0, seed=99)
    listed, same = choose_clips(make(), rendered, settings)
    assert listed == drawn
    assert same.key == catalog.key
    content = json.loads((tmp_path / "clips.json").read_text())
    assert content["dataset"] == "slakh"
    assert content["data"] == str(rendered)
    assert {"track", "start_s", "target", "query"} == set(content["clips"][0])


def test_a_list_of_queries_serves_every_network(rendered):
    clips, catalog = choose_clips(query(), rendered, SETTINGS)
    for model in (path(), tree()):
        items = ClipSet(clips, catalog, model)
        assert "query" not in items[0]
        assert items.nodes(0) == model.nodes
    without, _ = choose_clips(path(), rendered, SETTINGS)
    with pytest.raises(DataError, match=r"clip 0 of the list .* expected a target and a query .* got none"):
        ClipSet(without, catalog, query())


GOOD = {"track": "Track00001", "start_s": 0.0, "target": None, "query": None}
SHOWN = {"track": "Track00001", "stem": "S00", "start_s": 0.0, "duration": 1.0}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 7}, "expected format 1 or lower, got 7"),
        ({"duration": 0.0}, "duration: expected more than 0"),
        ({"duration": "long"}, "duration: expected a number, got 'long'"),
        ({"clips": []}, "clips: expected at least one"),
        ({"clips": [GOOD, {**GOOD, "start_s": -1.0}]}, "start_s: expected 0 seconds or more"),
        ({"clips": [{**GOOD, "start": 1.0}]}, "clip 0: unknown key 'start'; did you mean 'start_s'"),
        ({"clips": [GOOD, {"start_s": 1.0}]}, "expected a list of clips"),
        ({"clips": [{**GOOD, "track": 3}]}, "clip 0: track: expected text, got 3"),
        ({"clips": [{**GOOD, "query": {**SHOWN, "duration": -1.0}}]}, "duration: expected more than 0"),
        ({"clips": [{**GOOD, "query": s} for s in (SHOWN, {**SHOWN, "duration": 2.0})]}, "the same for all clips"),
        ({"clips": 3}, "expected a list of clips"),
        ({"clips": ["Track00001"]}, "expected a list of clips"),
    ],
)
def test_a_list_that_is_none_is_named_with_what_is_wrong(change, words, tmp_path):
    file = tmp_path / "clips.json"
    file.write_text(
        json.dumps({"format": 1, "data": "d", "dataset": "slakh", "duration": 1.0, "clips": [GOOD], **change})
    )
    with pytest.raises(DataError) as error:
        read_clips(file)
    assert str(error.value).startswith(f"{file}: ")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", [None, "", "[1, 2]", '{"clips": []}', "not JSON"])
def test_a_file_that_is_no_list_is_named(text, tmp_path):
    file = tmp_path / "clips.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(
        DataError, match=r"clips.json: expected a list of clips \(clips.json\) that an evaluation wrote"
    ):
        read_clips(file)


def test_a_list_of_another_data_set_is_refused_with_the_clip(rendered):
    _, catalog = choose_clips(path(), rendered, SETTINGS)
    clip = ClipPlace(catalog.tracks[0].id, 0.0)

    def listed(*clips):
        return ClipList("elsewhere", "slakh", 1.0, clips)

    with pytest.raises(DataError, match=r"no track 'Track99999', which clip 1 of the list .*\(elsewhere\)"):
        ClipSet(listed(clip, ClipPlace("Track99999", 0.0)), catalog, path())
    for shown in (QueryPlace("Track99999", "S00", 0.0, 1.0), QueryPlace(clip.track, "S99", 0.0, 1.0)):
        asking = ClipPlace(clip.track, 0.0, "clean_guitars", shown)
        with pytest.raises(DataError, match=r"no stem 'S[09]+' of a track .* query of clip 0"):
            ClipSet(listed(asking), catalog, query())
    good = QueryPlace(clip.track, catalog.tracks[0].stems[0].id, 0.0, 1.0)
    with pytest.raises(HierarchyError, match="no node 'kazoo'"):
        ClipSet(listed(ClipPlace(clip.track, 0.0, "kazoo", good)), catalog, query())


def test_a_node_that_claims_stems_itself_takes_its_turn_too(tmp_path):
    # In this data set all that is not sung is `other`, whatever lies below.
    for song, stems in {"a": ("vocals", "other"), "b": ("other", "hum")}.items():
        for seed, stem in enumerate(stems):
            write_audio(tmp_path / "test" / song / f"{stem}.wav", noise(1.0, seed=seed))
    hierarchy = {
        "name": "deep",
        "levels": ["mixture", "stem", "part"],
        "tree": {"mixture": ["vocals", {"other": ["guitar", "piano"]}]},
        "match": "filename",
        "labels": {"vocals": "vocals", "other": "other", "guitar": "guitar"},
        "ignore": "hum",
    }
    model = TreeSeparator(hierarchy, network=SIZES)
    clips, catalog = choose_clips(model, tmp_path, EvaluationConfig(duration=1.0))
    assert {clip.track for clip in clips.clips} == {"a", "b"}
    known = ClipSet(clips, catalog, model)[0]["known"].tolist()
    assert dict(zip(model.nodes, known, strict=True)) == {
        "vocals": True, "other": True, "guitar": False, "piano": False,
    }  # fmt: skip
