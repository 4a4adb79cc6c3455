"""Fixtures that all tests share."""

import numpy as np
import pytest
import torch
from hypothesis import settings

# How long an example takes is the machine's business, and that of whoever else is at work on it.
settings.register_profile("hiersep", deadline=None)
settings.load_profile("hiersep")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep catalogs out of the user's cache folder, and the user's out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIERSEP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Small tensors are slower on many threads, and far slower where another job has the cores."""
    torch.set_num_threads(1)


@pytest.fixture
def rng():
    return np.random.default_rng(588)


@pytest.fixture(scope="session")
def rendered(tmp_path_factory):
    """Six rendered songs of 15 s at 16 kHz, in wav; clean guitars sound in every split (in 3, 1 and 2 songs)."""
    from hiersep.render import RenderSettings, render

    out = tmp_path_factory.mktemp("rendered") / "data"
    settings = RenderSettings(tracks=6, seed=25, duration=15.0, splits=(0.5, 0.17, 0.33), format="wav")
    render(out, settings, jobs=1)
    return out


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache for each test."""
    monkeypatch.setenv("HIERSEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
