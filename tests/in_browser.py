"""Pages in a real browser: Debian's chromium, led by playwright.

tests/conftest.py has the fixtures for every test; a module that uses them is marked ``process``.
axe-core, whose rules are those of WCAG, comes with axe-playwright-python;
``requirements/browser.sh`` installs the browser.
"""

import shutil
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-headless-shell")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if BROWSER is None:
        pytest.skip("no chromium on PATH: requirements/browser.sh installs it")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=BROWSER)
        yield browser
        browser.close()


@pytest.fixture
def show(browser):
    """Open a file in a window of its own; what it asks for and complains of is kept."""
    contexts = []

    def show(path: Path, width: int = 1440, **options):
        viewport = {"width": width, "height": 900}
        contexts.append(browser.new_context(viewport=viewport, **options))
        window = contexts[-1].new_page()
        window.said, window.asked = [], []
        window.on("console", lambda message: window.said.append(message.text))
        window.on("pageerror", lambda error: window.said.append(str(error)))
        window.on("request", lambda request: window.asked.append(request.url))
        window.on("requestfailed", lambda request: window.said.append(request.url))
        window.goto(path.as_uri())
        return window

    yield show
    for context in contexts:
        context.close()


def violations(window, **options) -> tuple[set[str], list]:
    """Return which rules of axe-core are held and which are not, with what breaks them."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # Of rules that are held, which places hold them is of no interest.
    options = {"resultTypes": ["violations"], **options}
    # A drawing is one image, which has a text.
    response = axe.Axe().run(window, {"exclude": ["svg > *"]}, options).response
    found = [
        (rule["id"], [node["html"] for node in rule["nodes"]]) for rule in response["violations"]
    ]
    return {rule["id"] for rule in response["passes"]}, found


def fits(window, width: int) -> bool:
    """Say whether nothing is wider than the window: what has to be, has a box of its own."""
    boxes = window.locator(".box, pre")
    assert boxes.count() == window.locator(".box[tabindex='0'], pre[tabindex='0']").count() > 0
    ends = boxes.evaluate_all("all => all.map(e => e.getBoundingClientRect().right)")
    assert max(ends) <= width
    return window.evaluate("document.documentElement.scrollWidth") == width
