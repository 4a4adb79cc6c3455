"""Times and spans as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hiersep.audio import AudioInfo
from hiersep.errors import ConfigError, DataError
from hiersep.separation.spans import Span, parse_time


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_a_time_is_hours_minutes_and_seconds(hours, minutes, seconds, milliseconds):
    wanted = 3600 * hours + 60 * minutes + seconds + milliseconds / 1000
    assert parse_time(f"{hours}:{minutes:02}:{seconds:02}.{milliseconds:03}") == pytest.approx(wanted)
    assert parse_time(f"{60 * hours + minutes}:{seconds}.{milliseconds:03}") == pytest.approx(wanted)
    assert parse_time(f" {3600 * hours + 60 * minutes + seconds}.{milliseconds:03} ") == pytest.approx(wanted)


@pytest.mark.parametrize("text", ["", "-1", "1:2:3:4", "1:", ":10", "ten", "1e3", "inf", "nan", "1,5", "٣", "9" * 400])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ConfigError, match="expected a time like"):
        parse_time(text)


def test_a_span_is_two_times():
    assert Span.of("0:10-1:15.5") == (10.0, 75.5)
    assert Span.between(None, None) == (0.0, None)
    assert Span.between("5", None) == (5.0, None)
    for text in ("5", "0:10", "a-b", "1-"):
        with pytest.raises(ConfigError):
            Span.of(text)
    for start, stop in (("5", "5"), ("6", "5"), (None, "0")):
        with pytest.raises(ConfigError, match="ends after it begins"):
            Span.between(start, stop)


@pytest.mark.parametrize(("word", "fits"), [("0:10-0:15", True), ("1-2", True), ("a-b.wav", False), ("1-2.wav", False)])
def test_a_span_is_told_from_a_files_name(word, fits):
    assert Span.fits(word) is fits


def test_a_span_is_found_in_a_file():
    header = AudioInfo(frames=8000, sample_rate=1000, channels=1)
    assert Span().frames_of(header, "a") == (0, 8000)
    assert Span(1.0, 2.5).frames_of(header, "a") == (1000, 1500)
    assert Span(7.0, 60.0).frames_of(header, "a") == (7000, 1000)
    with pytest.raises(DataError, match=r"a: expected something from 8 s on, got a file of 8\.00 s"):
        Span(8.0).frames_of(header, "a")
    with pytest.raises(DataError, match="0 samples"):
        Span().frames_of(AudioInfo(0, 1000, 1), "a")
