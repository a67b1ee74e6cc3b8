"""An exported file, opened from disk by a browser without a network: slider, neurons, rows; names that stay texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

import nudgenet
from nudgenet.cli import run_command
from nudgenet.networks import rebuild
from nudgenet.networks.ensemble import Ensemble
from nudgenet.page import export as exporting
from nudgenet.pipeline import reopen
from nudgenet.run import Run

BREAKS_OUT = '</script><img src=x onerror="window.hacked=1">'
WAIT_MS = 20_000


@dataclass
class File:
    """A run and its exported file."""

    run: Run
    path: Path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[File]:
    """A run whose column, class and own name would break out of their elements if they could."""
    folder = tmp_path_factory.mktemp("exported")
    random = np.random.default_rng(0)
    size, weight = random.normal(size=(2, 240))
    kind = np.where(size + 0.5 * random.normal(size=240) > 0.3, BREAKS_OUT, "plain")
    lines = [
        f'"{a:.3f}","{b:.3f}","{c}"' for a, b, c in zip(size, weight, np.char.replace(kind, '"', '""'), strict=True)
    ]
    header = ",".join(f'"{name}"' for name in (BREAKS_OUT.replace('"', '""'), "weight", "kind"))
    (folder / "things.csv").write_text("\n".join([header, *lines]) + "\n")
    small = {"members": 2, "copies": 1, "layers": 2, "width": 8, "threads": 1, "batch_size": 32, "ema": 0.0}
    trained = nudgenet.train(folder / "things.csv", "kind", runs=folder, name="things", epochs=8, patience=8, **small)
    run = nudgenet.load(trained.path.rename(folder / "<img src=x>"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "MOST_STEPS", 5)
        patch.setattr(exporting, "MOST_ROWS", 4)
        assert run_command(["page", "--export", str(run.path), str(folder / "run.html")]) == 0
    yield File(run, folder / "run.html")


@pytest.fixture
def page(browser: Browser, file: File) -> Iterator[Page]:
    """The file, opened from disk; proves at its end that nothing was asked, nothing failed and nothing broke out."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce", offline=True)
    context.set_default_timeout(WAIT_MS)
    requests: list[str] = []
    errors: list[str] = []

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            errors.append(message.text)

    context.on("request", lambda request: requests.append(request.url))
    context.on("console", said)
    context.on("weberror", lambda error: errors.append(str(error.error)))
    opened = context.new_page()
    opened.goto(file.path.as_uri())
    for _ in range(40):  # what is above it grows meanwhile, and may push it away again
        opened.locator("section.network").scroll_into_view_if_needed()
        if opened.locator("section.network .slot.output").count():
            break
        opened.wait_for_timeout(250)
    settled(opened)
    yield opened
    assert opened.evaluate("window.hacked") is None
    assert opened.locator("main img, header img").count() == 0
    context.close()
    assert requests == [file.path.as_uri()], "the file asked for something else"
    assert errors == [], "a script failed, or the policy refused something"


def settled(page: Page) -> None:
    """Wait until every panel on the screen has its answer."""
    page.wait_for_timeout(400)  # the slider rests
    expect(page.locator(".panel[aria-busy]")).to_have_count(0)


def values(place: Locator) -> list[float]:
    found: list[float] = place.locator("data").evaluate_all("(all) => all.map((one) => Number(one.value))")
    return found


def to_step(page: Page, step: int) -> None:
    page.locator(".timebar input[type=range]").evaluate(
        "(range, step) => { range.value = step; range.dispatchEvent(new Event('input', { bubbles: true })); }", step
    )
    settled(page)


def neuron_panel(page: Page, layer: str, neuron: int) -> Locator:
    panel = page.locator("section.neuron")
    panel.scroll_into_view_if_needed()
    panel.get_by_label("Layer", exact=True).select_option(layer)
    panel.get_by_label("Neuron", exact=True).fill(str(neuron))
    page.keyboard.press("Enter")
    settled(page)
    return panel


def by_torch(file: File, step: int | None, index: int, neuron: int) -> tuple[torch.Tensor, float, torch.Tensor]:
    """(weights, sum, inputs) of a neuron of the second layer, first member, at a step, for a validation row."""
    table, _ = reopen(file.run)
    network = file.run.network
    if step is not None:
        tensors, _ = file.run._store.snapshots.load(step)  # type: ignore[attr-defined]
        weights = {
            name.removeprefix("network."): tensor for name, tensor in tensors.items() if name.startswith("network.")
        }
        network = rebuild(file.run.preparation.shape(len(table.prepared.train)), file.run.settings, weights)
    assert isinstance(network, Ensemble)
    network.eval().requires_grad_(False)
    inputs = {name: tensor[index : index + 1] for name, tensor in table.prepared.validation.inputs.items()}
    first, second, *_ = network.member(0)
    flowing = first(network.encode(inputs)[0])
    linear = second.sum
    return linear.weight.detach()[neuron], float(linear(flowing).detach()[0, neuron]), flowing.detach()[0]


def test_a_neuron_is_pytorchs_at_the_best_and_at_another_step(page: Page, file: File) -> None:
    row = page.locator("section.your-row .picker select option").first.inner_text()
    index = int(re.search(r"row (\d+) \(validation\)", row)[1])  # type: ignore[index]
    shown = page.locator("section.network .slot.neuron").evaluate_all(
        "(all) => all.map((one) => one.getAttribute('aria-label'))"
    )
    neuron = int(re.search(r"layer 2, neuron (\d+)", " ".join(shown))[1])  # type: ignore[index]
    panel = neuron_panel(page, "layer2", neuron)
    last = file.run.epochs[-1].step
    seen = []
    for step in (None, 0, last):
        if step is not None:
            to_step(page, step)
            expect(page.locator(".timebar .at")).to_contain_text("exact")
        weights, total, inputs = by_torch(file, step, index, neuron)
        rows = panel.locator("table.terms tbody tr")
        for place in range(rows.count() - 2):
            other = int(re.search(r"\[(\d+)\]", rows.nth(place).locator("th").inner_text())[1])  # type: ignore[index]
            into, weight, _ = values(rows.nth(place))
            assert weight == float(weights[other]) and into == pytest.approx(float(inputs[other]), rel=1e-5, abs=1e-7)
        seen.append(values(rows.last)[0])
        assert seen[-1] == pytest.approx(total, rel=1e-6, abs=1e-7)
    assert len(set(seen)) > 1, "the slider changes nothing"


def test_the_slider_says_when_a_step_is_not_in_the_file(page: Page) -> None:
    to_step(page, 1)
    expect(page.locator(".timebar .at")).to_contain_text("nearest snapshot (step 0)")
    expect(page.locator(".timebar .at")).to_contain_text(
        "This file holds 5 snapshots and 4 rows; `nudge page` shows everything."
    )
    page.locator(".timebar input[type=range]").focus()
    page.keyboard.press("End")
    settled(page)
    expect(page.locator(".timebar .at")).to_contain_text("exact")


def test_all_panels_have_their_answers_for_every_row(page: Page) -> None:
    pick = page.locator("section.your-row .picker select")
    rows = pick.locator("option").count()
    assert rows == 4
    for at in range(rows):
        page.locator("section.your-row").scroll_into_view_if_needed()
        pick.select_option(str(at))
        for panel in page.locator("section.panel:visible").all():
            panel.scroll_into_view_if_needed()
            settled(page)
        expect(page.locator(".problem:visible")).to_have_count(0)
        expect(page.locator("section.your-row .answer-box .big")).to_contain_text("kind:")
    assert page.locator("section.your-row .cells input:enabled, section.your-row .cells select:enabled").count() == 0
    expect(page.locator(".blame li")).not_to_have_count(0)
    expect(page.locator(".items article")).not_to_have_count(0)


def test_one_update_walks_in_four_steps(page: Page) -> None:
    page.locator("section.neuron").scroll_into_view_if_needed()
    buttons = page.locator(".walk button")
    for place in range(4):
        buttons.nth(place).click()
        settled(page)
    panel = page.locator("section.neuron")
    mine = values(panel.locator(".big").last)
    assert len(mine) == 2 and mine[0] != mine[1], "loss before and after"
    panel.locator('.choice:visible input[value="real"]').check()
    settled(page)
    assert values(panel.locator(".big").last) != mine
    expect(page.locator(".problem:visible")).to_have_count(0)


def test_what_is_not_in_the_file_is_said_or_hidden(page: Page) -> None:
    neuron_panel(page, "layer1", 999)
    expect(page.locator("section.neuron .problem")).to_contain_text("Of layer1, it has the neurons")
    expect(page.locator("section.network .member")).to_be_hidden()
    for words in ("Stop", "New training", "Playground", "All runs", "Report"):
        expect(
            page.get_by_role("link", name=words).or_(page.get_by_role("button", name=words, exact=True))
        ).to_have_count(0)
    expect(page.locator(".advice button")).to_have_count(0)


def test_names_are_texts_and_words_have_their_view(page: Page) -> None:
    expect(page.locator("h1")).to_have_text("<img src=x>")
    expect(page.locator("section.your-row .cells label").first).to_have_text(BREAKS_OUT)
    page.get_by_role("link", name="Words").click()
    expect(page.locator("main")).to_contain_text("learning rate")
    page.get_by_role("link", name="Run", exact=True).click()
    expect(page.locator("h1")).to_have_text("<img src=x>")


def test_curves_zoom_and_batches_come_from_the_file(page: Page) -> None:
    stage = page.locator(".chart .stage").first
    stage.scroll_into_view_if_needed()
    stage.focus()
    page.keyboard.press("+")
    page.wait_for_timeout(300)
    expect(page.get_by_role("button", name="Show all")).to_be_visible()
    page.get_by_label("each batch").check()
    expect(page.locator(".legend").first).to_contain_text("batch")
