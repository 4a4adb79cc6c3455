"""The page in a real browser: what sounds, measured; what is seen; what keyboard and screen reader find."""

import base64
import io

import numpy as np
import pytest
from helpers import error_db, noise, read_audio, tone, write_audio
from matplotlib.image import imread

from hiersep.report import Truth, write_report

RATE = 16000
HOSTILE = "<script>alert('x')</script> & \"guitar\""
BAND = {
    "name": "band",
    "levels": ["mixture", "group", "instrument"],
    "tree": {"mixture": [{"strings": ["guitar", "bass"]}, "drums"]},
    "display": {"guitar": HOSTILE},
}
GROUP, INSTRUMENT = ("strings", "drums"), ("guitar", "bass", "drums")
RESULTS = {
    "kind": "path", "key": "0123", "model": "<b>m</b>", "data": "a/b", "commit": "c0", "levels": {"group": {}},
    "nodes": {}, "targets": {}, "identical_levels": 0.0, "nothing_to_separate": None,
    "whole": dict.fromkeys(("si_sdr", "si_sdri", "mixture", "static", "oracle")),
}  # fmt: skip


@pytest.fixture(scope="module")
def stems():
    """Stereo, of levels that 16 bits alone would not hold: the bass lies 70 dB under the drums, which clip."""
    guitar, bass = noise(0.5, channels=2, db=-30, seed=1), tone(0.5, hz=110, db=-75, channels=2)
    drums = noise(0.5, channels=2, db=-5, seed=2)
    assert np.abs(drums).max() > 1
    return {"strings": guitar + bass, "guitar": guitar, "bass": bass, "drums": drums}


@pytest.fixture(scope="module")
def page_file(stems, tmp_path_factory):
    """With references that are the stems upside down, so that they can be told from them."""
    folder = tmp_path_factory.mktemp("page")
    mixture = write_audio(folder / "song <i>.wav", stems["guitar"] + stems["bass"] + stems["drums"])
    estimates = {node: write_audio(folder / f"{node}.wav", samples) for node, samples in stems.items()}
    references = {node: write_audio(folder / "true" / f"{node}.wav", -samples) for node, samples in stems.items()}
    query = write_audio(folder / "query.wav", tone(0.2))
    return write_report(mixture, estimates, BAND, folder / "report.html", query=query, truth=Truth(references, RESULTS))


@pytest.fixture
def page(open_page, page_file):
    page = open_page(page_file.as_uri())
    drawn(page)
    return page


def drawn(page):
    page.locator("#status:empty").wait_for(state="attached")


def heard(page):
    """What sounds: the page's own graph, computed by the browser; shape (channel, time)."""
    return np.array(
        page.evaluate("""async () => {
            const parts = await loadParts();
            const { numberOfChannels, length, sampleRate } = parts[0].buffer;
            const context = new OfflineAudioContext(numberOfChannels, length, sampleRate);
            buildGraph(context, parts);
            const sum = await context.startRendering();
            return Array.from({ length: numberOfChannels }, (_, channel) => Array.from(sum.getChannelData(channel)));
        }""")
    )


def lane(page, node):
    return page.locator(f'.lane[data-node="{node}"]')


def show(page, level):
    page.get_by_role("radio", name=level, exact=True).check()
    drawn(page)


@pytest.mark.parametrize(("level", "nodes"), [("group", GROUP), ("instrument", INSTRUMENT)])
def test_a_soloed_node_sounds_like_its_wav_and_the_level_like_their_sum(page, stems, level, nodes):
    show(page, level)
    assert page.locator(".lane:visible").evaluate_all("all => all.map(({dataset}) => dataset.node)") == [
        "mixture",
        *nodes,
    ]
    assert error_db(heard(page), sum(stems[node] for node in nodes)) < -60
    for node in nodes:
        solo = lane(page, node).locator(".solo")
        solo.click()
        assert error_db(heard(page), stems[node]) < -60
        solo.click()
    lane(page, nodes[0]).locator(".solo").click()
    lane(page, nodes[1]).locator(".solo").click()
    assert error_db(heard(page), stems[nodes[0]] + stems[nodes[1]]) < -60


def test_the_mixture_sounds_alone_where_it_is_soloed_or_its_level_is_shown(page, stems, page_file):
    mixture = read_audio(page_file.with_name("song <i>.wav"))
    lane(page, "mixture").locator(".solo").click()
    assert error_db(heard(page), mixture) < -60
    lane(page, "mixture").locator(".solo").click()
    show(page, "mixture")
    assert error_db(heard(page), mixture) < -60


def test_a_muted_node_is_left_out_and_silence_is_silent(page, stems):
    show(page, "instrument")
    lane(page, "drums").locator(".mute").click()
    assert error_db(heard(page), stems["guitar"] + stems["bass"]) < -60
    lane(page, "drums").locator(".solo").click()
    assert not heard(page).any()


def test_a_gain_of_minus_6_db_halves_the_amplitude(page, stems):
    gain = lane(page, "drums").get_by_role("slider")
    gain.focus()
    for _ in range(6):
        page.keyboard.press("ArrowLeft")
    assert lane(page, "drums").locator("output").inner_text() == "\N{MINUS SIGN}6 dB"
    assert gain.get_attribute("aria-valuetext") == "-6 dB"
    assert error_db(heard(page), stems["strings"] + 10 ** (-6 / 20) * stems["drums"]) < -60


def test_the_true_sounds_take_the_place_of_the_separated_ones(page, stems):
    page.get_by_role("radio", name="true").check()
    assert error_db(heard(page), -stems["strings"] - stems["drums"]) < -60
    lane(page, "strings").locator(".solo").click()
    assert error_db(heard(page), -stems["strings"]) < -60


def test_a_node_of_the_tree_is_heard_alone_at_its_own_level(page, stems):
    page.locator('nav button[data-node="bass"]').click()
    assert page.get_by_role("radio", name="instrument").is_checked()
    assert error_db(heard(page), stems["bass"]) < -60
    page.locator('nav button[data-node="bass"]').click()
    assert error_db(heard(page), sum(stems[node] for node in INSTRUMENT)) < -60


@pytest.fixture
def long_page(open_page, tmp_path):
    """Eight seconds, of a node that stands at one level and of one at another."""
    song = write_audio(tmp_path / "song.wav", noise(8.0, rate=8000), 8000)
    page = open_page(write_report(song, {"strings": song, "guitar": song}, BAND, tmp_path / "report.html").as_uri())
    drawn(page)
    return page


def becomes(page, name):
    page.get_by_role("button", name=name, exact=True).wait_for()


def test_what_is_played_runs_pauses_and_goes_back_at_its_end(long_page):
    page = long_page
    page.keyboard.press(" ")
    becomes(page, "Pause")
    page.locator("#time", has_text="0:01").wait_for()
    page.keyboard.press(" ")
    becomes(page, "Play")
    paused = page.evaluate("position()")
    assert 1 <= paused < 8
    page.wait_for_timeout(100)
    assert page.evaluate("position()") == paused
    page.evaluate("seek(7.5)")
    becomes(page, "Play")  # seeking does not start it
    page.locator("#play").click()
    becomes(page, "Pause")
    becomes(page, "Play")
    assert page.evaluate("position()") == 0


def test_a_level_or_a_solo_that_changes_while_it_plays_goes_on_from_there(long_page):
    page = long_page
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    becomes(page, "Pause")
    page.get_by_role("radio", name="instrument", exact=True).check()
    page.keyboard.press("1")
    page.locator("#time", has_text="0:06").wait_for()
    gains = page.evaluate("player.parts.map(({ lane, kind }) => [lane.node, gainOf(lane, kind) > 0])")
    assert gains == [["mixture", False], ["guitar", True]]


def test_space_presses_the_button_that_the_keyboard_came_to_and_plays_after_a_click(long_page):
    page, solo = long_page, lane(long_page, "strings").locator(".solo")
    solo.click()
    page.keyboard.press(" ")
    becomes(page, "Pause")
    assert solo.get_attribute("aria-pressed") == "true"
    solo.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    page.keyboard.press(" ")
    assert solo.get_attribute("aria-pressed") == "false"
    becomes(page, "Pause")
    page.locator("summary").focus()
    page.keyboard.press(" ")
    assert not page.evaluate("byId('tree').open")


def test_a_click_on_a_picture_goes_there(long_page):
    box = lane(long_page, "strings").locator(".spectrogram").bounding_box()
    long_page.mouse.click(box["x"] + box["width"] / 4, box["y"] + 10)
    assert long_page.evaluate("position()") == pytest.approx(2, abs=0.02)
    assert long_page.locator("#time").inner_text() in ("0:01 / 0:08", "0:02 / 0:08")


def test_keys_play_seek_and_solo(page):
    page.keyboard.press("ArrowRight")
    assert page.evaluate("position()") == 0.5  # five seconds on are past the end
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("position()") == 0
    for key, node in (("2", "drums"), ("1", "strings"), ("0", "mixture")):
        page.keyboard.press(key)
        assert page.locator('.solo[aria-pressed="true"]').evaluate_all(
            "all => all.map((one) => one.closest('.lane').dataset.node)"
        ) == [node]
    page.keyboard.press("0")
    assert page.locator('.solo[aria-pressed="true"]').count() == 0
    page.keyboard.press("9")  # there is no such node
    page.locator("#position").focus()
    page.keyboard.press(" ")
    page.get_by_role("button", name="Pause", exact=True).wait_for()


def test_the_focus_comes_by_every_control_in_reading_order_and_is_seen(page):
    controls = "button, summary, input[type=range], input:checked, audio"  # of a choice, what is chosen
    wanted = page.locator(controls).evaluate_all("all => all.flatMap((one, i) => one.checkVisibility() ? [i] : [])")
    reached = []
    while len(reached) < len(wanted):
        page.keyboard.press("Tab")
        place, seen = page.evaluate(f"""() => {{
            const now = document.activeElement;
            return [[...document.querySelectorAll("{controls}")].indexOf(now), now.matches("audio, :focus-visible")];
        }}""")
        assert seen
        reached.append(place)
    assert reached == wanted


def test_every_control_and_picture_has_a_name_of_its_own(page):
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree
        if not node["ignored"] and node["role"]["value"] in ("button", "slider", "radio", "image", "img", "navigation")
    ]
    ours = [one for one in named if one[0] != "button" or not one[1].startswith(("play", "mute", "show", "more"))]
    assert len(ours) > 20
    assert all(name.strip() for _, name in named)
    assert len(set(ours)) == len(ours)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_without_scrolling_sideways(open_page, page_file, scheme):
    page = open_page(page_file.as_uri(), width=360, height=740, color_scheme=scheme, is_mobile=True, has_touch=True)
    show(page, "instrument")
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    beyond = page.locator("body *:visible").evaluate_all("""all => all.filter((one) => {
        const { left, right } = one.getBoundingClientRect();
        return right > 360.5 || left < -0.5 || one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 1;
    }).map((one) => one.outerHTML.slice(0, 100))""")
    assert beyond == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)")
    assert (max(ground) < 64) == (scheme == "dark")


def test_a_hostile_name_stays_text_and_nothing_is_fetched(page):
    assert page.title() == "song <i>.wav, taken apart by hiersep"
    assert page.locator("h1").inner_text() == "song <i>.wav"
    assert lane(page, "guitar").locator("h3").text_content().strip().endswith(HOSTILE)
    assert page.locator("i, b:not(.score b)").count() == 0
    assert "Model <b>m</b>, data a/b" in page.locator(".results").inner_text()
    assert page.locator("script").count() == 1 + 9  # ours, and the sounds: mixture, four nodes and their truth
    assert page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name.slice(0, 5))") == []


def pixels(page, node, picture):
    """Red and opacity of a picture's pixels; shape (column, row, 2), rows from the top."""
    url = lane(page, node).locator(picture).evaluate("(canvas) => canvas.toDataURL()")
    return imread(io.BytesIO(base64.b64decode(url.split(",")[1]))).transpose(1, 0, 2)[:, :, [0, 3]]


def test_pictures_show_when_a_node_sounds_and_at_which_pitch(open_page, tmp_path):
    half = tone(1.0, hz=1000, rate=8000)
    half[:, 4000:] = 0
    mixture = write_audio(tmp_path / "mix.wav", half, 8000)
    page = open_page(write_report(mixture, {"drums": mixture}, BAND, tmp_path / "report.html").as_uri(), width=800)
    drawn(page)
    heights = (pixels(page, "drums", ".wave")[:, :, 1] > 0).sum(axis=1)
    middle = len(heights) // 2
    assert heights[: middle - 1].min() == 52
    assert heights[middle + 1 :].max() == 1
    reds = pixels(page, "drums", ".spectrogram")[:, :, 0]
    assert not reds[middle + 30 :].any()  # a window is wider than a column
    sounding = reds[100 : middle - 30]  # right of the scale
    place = 1 - (sounding.mean(axis=0).argmax() + 0.5) / reds.shape[1]
    assert 40 * (4000 / 40) ** place == pytest.approx(1000, rel=0.05)
    assert sounding.max(axis=1).min() > 0.8


@pytest.mark.parametrize("samples", [np.zeros((1, 4000)), np.full((2, 1), 0.5)], ids=["silence", "one sample"])
def test_silence_and_a_single_sample_are_drawn_and_heard(open_page, tmp_path, samples):
    song = write_audio(tmp_path / "song.wav", samples, 8000)
    page = open_page(write_report(song, {"drums": song}, BAND, tmp_path / "report.html").as_uri())
    drawn(page)
    np.testing.assert_allclose(heard(page), samples, atol=1e-4)
