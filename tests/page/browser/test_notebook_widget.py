"""The notebook's widget in a browser: anywidget's side is played by a small model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from nudgenet.notebook import module, picture_of, picture_of_run
from nudgenet.runs.store import Store

NASTY = '<img src=x onerror="window.hacked=1">'
# What anywidget gives to `render`: a model with the trait `picture`, and an element.
PLAY = """
async ([text, picture]) => {
  const module = (await import(URL.createObjectURL(new Blob([text], { type: "text/javascript" })))).default;
  window.sent = [];
  window.picture = picture;
  let listener = null;
  const model = {
    get: (name) => (name === "picture" ? window.picture : null),
    on: (name, action) => (listener = name === "change:picture" ? action : listener),
    off: () => (listener = null),
    send: (message) => window.sent.push(message),
  };
  window.change = (changed) => ((window.picture = { ...window.picture, ...changed }), listener());
  window.end = module.render({ model, el: document.getElementById("cell") });
}
"""


@pytest.fixture
def cell(browser: Browser) -> Iterator[Page]:
    """An empty page with a place for the widget; proves at its end that no script failed."""
    context = browser.new_context(viewport={"width": 800, "height": 600})
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    context.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page = context.new_page()
    page.set_content('<style>p { color: rgb(1, 2, 3); }</style><div id="cell"></div><p id="other">other</p>')
    yield page
    context.close()
    assert errors == []


def test_the_widget_draws_a_run(cell: Page, runs_folder: Path) -> None:
    picture = picture_of_run(Store(runs_folder / "flowers"))
    cell.evaluate(PLAY, [module(), picture])
    expect(cell.locator("#cell strong")).to_have_text("flowers")
    expect(cell.locator("#cell .badge")).to_be_visible()
    expect(cell.locator("#cell .small")).to_contain_text("on the test rows")
    expect(cell.locator("#cell .stage")).to_have_attribute("aria-label", re.compile("best, epoch .* at epoch"))
    cell.wait_for_timeout(200)  # a frame
    painted = "(canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)"
    assert cell.locator("#cell canvas").first.evaluate(painted)
    assert cell.evaluate("window.sent.length") == 0


def test_styles_cross_neither_way(cell: Page, runs_folder: Path) -> None:
    cell.evaluate(PLAY, [module(), picture_of_run(Store(runs_folder / "flowers"))])
    colour = "(element) => getComputedStyle(element).color"
    other = cell.locator("#other").evaluate(colour)
    assert other == "rgb(1, 2, 3)" != cell.locator("#cell .small").evaluate(colour)
    light = cell.locator("#cell .small").evaluate(colour)
    cell.evaluate("document.body.dataset.jpThemeLight = 'false'")
    cell.wait_for_timeout(100)
    assert cell.locator("#cell .small").evaluate(colour) != light, "dark where JupyterLab is dark"


def test_what_is_live_grows_and_is_asked_for(cell: Page) -> None:
    picture = {"name": NASTY, "line": "epoch 1", **picture_of([], None, 10)}
    cell.evaluate(PLAY, [module(), picture])
    expect(cell.locator("#cell strong")).to_have_text(NASTY)
    series = {"train_loss": {"x": [10, 20], "y": [1.0, 0.5], "total": 2, "shown": 2}}
    cell.evaluate("(changed) => window.change(changed)", {"series": series, "line": "epoch 2", "asks": True})
    expect(cell.locator("#cell .stage")).to_have_attribute(
        "aria-label", re.compile("training loss: from 1 at epoch 1 to 0.5")
    )
    expect(cell.locator("#cell .row")).to_contain_text("epoch 2")
    cell.wait_for_function("window.sent.length > 0")
    assert cell.evaluate("window.sent[0].look") is True
    cell.evaluate("window.change({ asks: false })")
    cell.evaluate("window.sent.length = 0; window.end()")
    cell.wait_for_timeout(1_300)
    assert cell.evaluate("window.sent.length") == 0 and cell.evaluate("window.hacked") is None
