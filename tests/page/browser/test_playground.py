"""The playground in a browser: it trains, pauses, steps, rewinds to the same first weights, and draws all of it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

STATUS = re.compile(r"Epoch [\d,]+, step ([\d,]+): loss")

MOVED = re.compile(r"step (?!0:)[\d,]+: loss")  # past the first frame


@pytest.fixture
def playground(page: Page) -> Page:
    page.goto(re.sub(r"[?#].*", "", page.url) + "#/playground")
    expect(page.locator("h1")).to_have_text("Playground")
    return page


def status(page: Page) -> Locator:
    return page.locator(".playground .status")


def step_of(page: Page) -> int:
    found = STATUS.search(status(page).inner_text())
    return int(found[1].replace(",", "")) if found else -1


def weights(page: Page) -> list[float]:
    found: list[float] = page.locator(".screen details table data").evaluate_all(
        "(all) => all.map((o) => Number(o.value))"
    )
    return found


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def surface(page: Page) -> Locator:
    return page.locator(".surface canvas")


def test_it_trains_pauses_and_steps(playground: Page) -> None:
    press(playground, "Start")
    expect(status(playground)).to_have_text(STATUS)
    expect(status(playground)).to_have_text(MOVED)
    expect(surface(playground)).to_have_attribute("aria-label", re.compile("of the area"))
    press(playground, "Pause")
    expect(playground.get_by_role("button", name="Go", exact=True)).to_be_enabled()
    playground.wait_for_timeout(300)  # frames that were on their way
    press(playground, "Step")
    playground.wait_for_timeout(300)
    at = step_of(playground)
    playground.wait_for_timeout(300)
    assert step_of(playground) == at
    press(playground, "Step")
    expect(status(playground)).to_have_text(re.compile(rf"step {at + 1:,}:"))
    press(playground, "Go")
    expect(status(playground)).not_to_have_text(re.compile(rf"step {at + 1:,}:"))
    press(playground, "Stop")
    expect(status(playground)).to_have_text("Stopped.")
    expect(playground.locator(".playground .copyable code")).to_contain_text("nudgenet")


def first_weights(page: Page, seed: int) -> list[float]:
    """The weights before the first step: those of the first frame."""
    script = """async (seed) => {
      const { socket } = await import('/api.js');
      return await new Promise((done) => {
        const line = socket('playground', {
          open: () => line.send({ do: 'start', data: 'moons', rows: 100, noise: 0.1, layers: 1, neurons: 4, activation: 'tanh',
            learning_rate: 0.01, optimizer: 'adamw', weight_decay: 0, dropout: 0, seed, batch_size: 32 }),
          message: (frame) => { line.close(); done(frame.network.layers.flatMap(({ weights }) => weights.flat())); },
        });
      });
    }"""
    found: list[float] = page.evaluate(script, seed)
    return found


def test_the_same_seed_rewinds_to_the_same_first_weights(playground: Page) -> None:
    first = first_weights(playground, 0)
    assert first_weights(playground, 0) == first
    assert first_weights(playground, 1) != first


def test_without_the_kink_it_says_what_to_expect(playground: Page) -> None:
    playground.get_by_label("Kink").select_option("none")
    expect(playground.get_by_text("it stays a straight line")).to_be_visible()
    playground.get_by_label("Kink").select_option("relu")
    expect(playground.get_by_text("it stays a straight line")).not_to_be_visible()


def test_a_change_starts_again(playground: Page) -> None:
    press(playground, "Start")
    expect(status(playground)).to_have_text(MOVED)
    playground.get_by_label("Neurons a layer").fill("5")
    playground.keyboard.press("Enter")
    expect(playground.locator("svg.small-network")).to_have_attribute("aria-label", re.compile(r"2 to 5 to 5 to \d"))
    playground.get_by_text("The weights as a table").click()
    expect(playground.locator(".screen details table").first).to_be_visible()
    assert len(weights(playground)) >= 2 * 5 + 5 * 5
    press(playground, "Stop")


def test_two_columns_of_a_run(playground: Page) -> None:
    playground.get_by_label("Data").select_option("run")
    playground.get_by_label("Run", exact=True).select_option("flowers")
    expect(playground.locator(".own-data")).to_contain_text("Target: kind")
    press(playground, "Start")
    expect(status(playground)).to_have_text(STATUS)
    expect(playground.locator(".surface")).to_contain_text("rose")
    press(playground, "Stop")
    assert playground.evaluate("window.hacked") is None


def test_what_does_not_work_is_said(playground: Page) -> None:
    playground.get_by_label("Data").select_option("run")
    playground.get_by_label("Run", exact=True).select_option("flowers")
    playground.get_by_label("Across").select_option("size")
    playground.get_by_label("Up").select_option("size")
    press(playground, "Start")
    expect(playground.locator(".playground .problem")).to_be_visible()
