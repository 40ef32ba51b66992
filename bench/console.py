"""Walk through the console in a real browser, at 320 and 1,280 pixels, and keep pictures.

    pip install playwright && apt install chromium
    python bench/console.py --key cbi_… --file lista.csv --out pictures

It needs a service that runs, a registrar's key, and a file of registrations with faulty rows and
valid ones. Told are pages that are wider than the window, and whatever the browser complained of:
a policy that was violated, a script that failed.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Page, sync_playwright

WIDTHS = (320, 1_280)
WAIT_MS = 120_000


def main() -> None:
    read = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    read.add_argument("--url", default="http://127.0.0.1:8000")
    read.add_argument("--key", required=True)
    read.add_argument("--file", type=Path, required=True)
    read.add_argument("--out", type=Path, required=True)
    read.add_argument("--chromium", default="/usr/bin/chromium")
    told = read.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    complaints: list[str] = []
    too_wide: list[str] = []
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=told.chromium, args=["--no-sandbox"])
        for width in WIDTHS:
            page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
            page.on("console", lambda message: complaints.extend(complaint_of(message)))
            for name in walk(page, told.url, told.key, told.file):
                page.screenshot(path=told.out / f"{name}-{width}.png", full_page=True)
                if page.evaluate("document.documentElement.scrollWidth") > width:
                    too_wide.append(f"{name}-{width}")
        browser.close()
    print(json.dumps({"too_wide": too_wide, "complaints": complaints}, indent=1))


def complaint_of(message: ConsoleMessage) -> Iterator[str]:
    """What is wrong by a message; that a wrong key or a wrong month is refused is meant."""
    if message.type in ("error", "warning") and "the server responded with" not in message.text:
        yield message.text


def walk(page: Page, url: str, key: str, file: Path) -> Iterator[str]:
    """Go from page to page as somebody would, by keyboard where it is a matter of one key."""
    page.goto(f"{url}/console/imports")
    yield "sign-in"
    page.fill("#key", "cbi_x_y")
    page.press("#key", "Enter")
    yield "sign-in-refused"
    page.fill("#key", key)
    page.press("#key", "Enter")
    # Signed in, one is where one wanted to be.
    page.wait_for_url("**/console/imports")
    yield "imports"
    page.goto(f"{url}/console/imports/new")
    yield "import-new"
    page.set_input_files("#file", file)
    page.check("input[value=inei]")
    page.click("main form button")
    yield "import-read"
    # The page's own script sees that the job has ended.
    page.wait_for_selector(".decide, .state:has-text('Registrado')", timeout=WAIT_MS)
    yield "import"
    if page.query_selector("input[value=valid]") and page.viewport_size["width"] > WIDTHS[0]:
        page.check("input[value=valid]")
        page.click("#acceptance button")
        page.wait_for_selector(".state:has-text('Registrado')", timeout=WAIT_MS)
        yield "import-done"
    page.goto(f"{url}/console/checks/new")
    page.set_input_files("#file", file)
    page.check("input[value=before_registration]")
    page.check("input[value=inei]")
    page.fill("#first_month", "2026")
    page.click("main form button")
    yield "check-refused"
    page.fill("#first_month", "")
    page.set_input_files("#file", file)
    page.click("main form button")
    page.wait_for_selector(".counts", timeout=WAIT_MS)
    yield "check"
    page.goto(f"{url}/console/jobs")
    yield "jobs"
    page.goto(f"{url}/console")
    yield "home"
    page.click("header button[value=en]")
    yield "home-english"
    page.click("header form[action='/console/sign-out'] button")
    page.wait_for_url("**/console/sign-in")


if __name__ == "__main__":
    main()
