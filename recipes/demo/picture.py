"""Take a picture of a page in headless Chromium, as the documentation shows it: a level below the first, playing.

Usage: python recipes/demo/picture.py REPORT.html OUT.png
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path

from hiersep.cli.command import run_script
from hiersep.errors import DataError
from hiersep.files import atomic_path

WIDTH, HEIGHT, COLOURS = 1140, 720, 160


def main(report: str, out: str) -> None:
    from PIL import Image
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    if program is None or not Path(report).is_file():
        raise DataError(f"{report}: expected a page, and Chromium to show it; got not both")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(Path(report).resolve().as_uri())
        page.locator("#level input").nth(2).check()
        page.keyboard.press("2")
        page.evaluate("document.activeElement.blur(); seek(duration * 0.4); play()")
        page.get_by_role("button", name="Pause", exact=True).wait_for()
        page.locator("#status:empty").wait_for(state="attached")
        pixels = page.screenshot()
        browser.close()
    picture = (
        Image.open(io.BytesIO(pixels))
        .convert("RGB")
        .quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    )
    with atomic_path(out) as temporary:
        picture.save(temporary, optimize=True)


if __name__ == "__main__":
    run_script(main)
