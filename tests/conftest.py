"""Fixtures that all tests share."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, settings

# How long an example takes is the machine's business, and that of whoever else is at work on it.
BUSY = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("hiersep", **BUSY)
# For `make mutants`: that a test fails is enough, and the same examples judge every mutant.
settings.register_profile("mutants", derandomize=True, phases=(Phase.explicit, Phase.generate), **BUSY)
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


@pytest.fixture(scope="session")
def miniatures(tmp_path_factory):
    """Miniatures of all data sets, in one folder each; look, do not touch."""
    root = tmp_path_factory.mktemp("miniatures")
    subprocess.run([sys.executable, str(Path(__file__).with_name("make_miniatures.py")), str(root)], check=True)
    return root


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache for each test."""
    monkeypatch.setenv("HIERSEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def browser():
    """Start a headless Chromium; without one, skip.

    One per module and not per session: while it is there, the thread counts as inside a running event loop, in which
    other tests could not start one of their own.
    """
    api = pytest.importorskip(
        "playwright.sync_api", reason="pages are tested through playwright: pip install -e .[dev]"
    )
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("pages are tested in Chromium, and there is none: bash .ci/system-libraries chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


_BROKEN_OFF = "net::ERR_ABORTED"


@pytest.fixture
def open_page(browser):
    """Give a function that opens an address in a window of its own, as a user who comes for the first time.

    What a page complains about on the console, an error in its script and a request that fails are errors of the test,
    at its end; but not a request that the page itself breaks off, as players do.
    """
    contexts, complaints = [], []

    def open_page(url, *, width=1280, height=800, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "requestfailed", lambda r: None if r.failure == _BROKEN_OFF else complaints.append(f"failed: {r.url[:200]}")
        )
        page.on("response", lambda r: complaints.append(f"{r.status}: {r.url[:200]}") if r.status >= 400 else None)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
