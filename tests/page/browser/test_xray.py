"""The opened network in a browser: slider, network, neuron, one update, your row, errors, maps; numbers against PyTorch."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Locator, Page, expect

from nudgenet.networks.ensemble import Ensemble
from nudgenet.pipeline import reopen
from nudgenet.records import Batch
from nudgenet.run import Run
from nudgenet.runs.store import Store
from nudgenet.training.place import Place, working_at
from nudgenet.training.replay import replay

NASTY = '<img src=x onerror="window.hacked=1">'


def open_run(page: Page, name: str) -> None:
    """The run's view, with its network drawn and a neuron opened."""
    page.goto(re.sub(r"[?#].*", "", page.url) + f"#/run/{name}")
    expect(page.locator(".health")).not_to_contain_text(
        "Looking"
    )  # what comes late above pushes the network out of sight
    page.locator("section.network").scroll_into_view_if_needed()
    expect(page.locator("section.network .slot.output")).not_to_have_count(0)
    settled(page)


def settled(page: Page) -> None:
    """Wait until the slider rests and every panel on the screen has its exact answer."""
    expect(page.locator(".timebar .at")).to_have_class(re.compile("exact"))
    page.wait_for_timeout(50)  # an answer starts the questions that follow from it
    expect(page.locator(".panel[aria-busy]")).to_have_count(0)


def values(place: Locator) -> list[float]:
    """All numbers of a part of the page, with every digit."""
    found: list[float] = place.locator("data").evaluate_all("(all) => all.map((one) => Number(one.value))")
    return found


def cells(row: Locator) -> list[float]:
    return values(row)


def plain(layer: str) -> str:
    """The layer's name for people."""
    return re.sub(r"^layer(\d+)$", r"layer \1", layer)


def open_neuron(page: Page, layer: str, neuron: int) -> Locator:
    """The panel, with this neuron in it."""
    panel = page.locator("section.neuron")
    panel.scroll_into_view_if_needed()
    panel.get_by_label("Layer", exact=True).select_option(layer)
    expect(panel.locator("h2")).to_have_text(re.compile(rf"Neuron {plain(layer)} \[0\]"))
    panel.get_by_label("Neuron", exact=True).fill(str(neuron))
    page.keyboard.press("Enter")
    expect(panel.locator("h2")).to_have_text(re.compile(rf"Neuron {plain(layer)} \[{neuron}\]"))
    settled(page)
    return panel


@dataclass
class Opened:
    """A run as Python has it: its network in evaluation mode, and a validation row."""

    run: Run
    network: Ensemble
    inputs: dict[str, torch.Tensor]
    target: torch.Tensor
    objective: Any
    source: Path

    def fired(self, member: int = 0) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """(inputs, sums, fired) of each layer of a member, by walking through it as a plain network."""
        found = []
        with torch.no_grad():
            flowing = self.network.encode(self.inputs)[0]
            for layer in self.network.member(member):
                linear = getattr(layer, "sum", layer)
                sums = linear(flowing)
                out = layer(flowing)
                found.append((flowing[0], sums[0], out[0]))
                flowing = out
        return found


@pytest.fixture
def flowers(runs_folder: Path, sources: Path) -> Opened:
    return opened(runs_folder / "flowers", sources / "flowers.csv")


def opened(folder: Path, source: Path) -> Opened:
    """A run, and its first validation row."""
    run = Run(Store(folder))
    table, state = reopen(run)
    part = table.prepared.validation
    network = run.network.requires_grad_(False)
    assert isinstance(network, Ensemble)
    inputs = {name: tensor[:1] for name, tensor in part.inputs.items()}
    return Opened(run, network.eval(), inputs, part.targets[:1], state.objective, source)


# The network and a neuron.


def test_the_network_shows_what_pytorch_computes(page: Page, flowers: Opened) -> None:
    open_run(page, "flowers")
    (_, _, first), (_, _, second), (_, outputs, _) = flowers.fired()
    expect(page.locator("section.network svg[role=group]")).to_have_attribute(
        "aria-label", re.compile("layer 1 of 8 neurons, layer 2 of 8 neurons, 3 outputs")
    )
    page.locator("section.network").get_by_text("The same as tables").click()
    expect(page.locator("section.network table", has_text="Neurons shown")).to_be_visible()
    shown = values(page.locator("section.network table", has_text="Neurons shown"))
    np.testing.assert_allclose(shown[1::2], torch.cat([first, second]), rtol=1e-6, atol=1e-7)
    chances = flowers.run.predict_proba(row_cells(flowers, 0))[0]
    label = str(flowers.run.classes[int(chances.argmax())])
    expect(page.locator("section.network .answer b").first).to_contain_text(label[:20])
    expect(page.locator("section.network .answer b").first).to_contain_text(f"{100 * chances.max():.1f}%")
    assert page.locator("section.network .slot.output .label").count() == len(outputs) == 3


def row_cells(opened: Opened, index: int) -> dict[str, str]:
    """A validation row's cells, as they stand in the file."""
    table, _ = reopen(opened.run)
    with opened.source.open(newline="", encoding="utf-8") as file:
        cells = list(csv.DictReader(file))[int(table.prepared.validation.rows[index])]
    return {name: text for name, text in cells.items() if name != opened.run.task.target}


def test_a_neurons_arithmetic_is_pytorchs(page: Page, flowers: Opened) -> None:
    open_run(page, "flowers")
    panel = open_neuron(page, "layer2", 3)
    inputs, sums, fired = flowers.fired()[1]
    linear = flowers.network.member(0)[1].sum.requires_grad_(False)  # type: ignore[union-attr]
    rows = panel.locator("table.terms tbody tr")
    expect(rows).to_have_count(8 + 2)  # all eight inputs, the bias, the sum
    products = []
    for place in range(8):
        neuron = int(re.search(r"\[(\d+)\]", rows.nth(place).locator("th").inner_text())[1])  # type: ignore[index]
        into, weight, product = cells(rows.nth(place))
        assert into == pytest.approx(float(inputs[neuron]), rel=1e-5, abs=1e-7)
        assert weight == float(linear.weight[3, neuron])
        products.append(product)
    assert [abs(one) for one in products] == sorted((abs(one) for one in products), reverse=True)
    bias, total = cells(rows.nth(8)) + cells(rows.nth(9))
    assert bias == float(linear.bias[3])
    assert total == pytest.approx(float(sums[3]), rel=1e-5, abs=1e-7)
    assert sum(products) + bias == pytest.approx(total, rel=1e-5, abs=1e-6)
    assert values(panel.locator("p.equation").first)[-1] == pytest.approx(float(fired[3]), rel=1e-5, abs=1e-7)
    expect(panel.locator(".kink svg")).to_have_attribute("aria-label", re.compile("ReLU: a sum of"))


def test_the_copied_arithmetic_runs_and_agrees(page: Page, flowers: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    open_run(page, "flowers")
    panel = open_neuron(page, "layer1", 2)
    panel.get_by_text("The same arithmetic in Python").click()
    exec(compile(panel.locator("pre").last.inner_text(), "copied", "exec"), {})
    printed = [float(number) for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", capsys.readouterr().out)]
    assert any(number == pytest.approx(float(flowers.fired()[0][2][2]), rel=1e-4, abs=1e-5) for number in printed)


def test_the_network_is_one_tab_stop_with_arrow_keys(page: Page) -> None:
    open_run(page, "flowers")
    slots = page.locator("section.network .slot")
    assert slots.evaluate_all("(all) => all.filter((one) => one.getAttribute('tabindex') === '0').length") == 1
    page.locator('section.network .slot[tabindex="0"]').focus()
    focused = "document.activeElement.getAttribute('aria-label')"
    page.keyboard.press("End")
    assert "output" in page.evaluate(focused)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    words = page.evaluate(focused)
    number = re.search(r"layer 2, neuron (\d+)", words)[1]  # type: ignore[index]
    expect(page.locator("section.network .status")).to_have_text(words)
    page.keyboard.press("Enter")
    expect(page.locator("section.neuron h2")).to_have_text(f"Neuron layer 2 [{number}]")
    expect(page.locator("section.network .slot.chosen")).to_have_count(1)


def test_folded_neurons_unfold(page: Page) -> None:
    open_run(page, "flowers-wide")
    neurons = page.locator('section.network .slot.neuron[aria-label^="layer 1"]')
    few = neurons.count()
    more = page.locator("section.network .slot.fold").first
    expect(more).to_have_text(f"+{64 - few} more")
    more.click()
    expect(neurons).to_have_count(64)
    page.locator("section.network .slot.fold").first.click()
    expect(neurons).to_have_count(few)


def test_another_member_has_other_neurons(page: Page, flowers: Opened) -> None:
    open_run(page, "flowers")
    page.locator("section.network").get_by_role("spinbutton").fill("2")
    page.keyboard.press("Enter")
    settled(page)
    page.locator("section.network").get_by_text("The same as tables").click()
    expect(page.locator("section.network table", has_text="Neurons shown")).to_be_visible()
    expected = torch.cat([fired for _, _, fired in flowers.fired(member=1)[:2]])
    shown = values(page.locator("section.network table", has_text="Neurons shown"))
    np.testing.assert_allclose(shown[1::2], expected, rtol=1e-6, atol=1e-7)


# Time.


def test_the_slider_moves_everything_and_says_how_exact_it_is(page: Page, flowers: Opened) -> None:
    open_run(page, "flowers")
    slider, note = page.get_by_label("Time in the training, in steps"), page.locator(".timebar .at")
    last = int(slider.get_attribute("max") or 0)
    assert last == flowers.run.epochs[-1].step
    panel = open_neuron(page, "layer1", 0)
    before = values(panel.locator("table.terms"))
    slider.focus()
    page.keyboard.press("Home")
    settled(page)
    expect(page.locator(".timebar .place")).to_contain_text(f"step 0 of {last}")
    expect(note).to_contain_text("exact")
    _, state = reopen(flowers.run)
    weights = state.network.weights[0][0, 0].detach()  # type: ignore[index]
    shown = [cells(row)[1] for row in panel.locator("table.terms tbody tr").all() if len(cells(row)) == 3]
    assert shown != before[1::3][: len(shown)]
    for weight in shown:
        assert float((weights - weight).abs().min()) == 0.0
    page.keyboard.press("ArrowRight")
    expect(page.locator(".timebar .place")).to_contain_text(f"step 1 of {last}")
    settled(page)
    page.keyboard.press("PageUp")
    expect(page.locator(".timebar .place")).to_contain_text(f"step {1 + flowers.run.epochs[0].step} of {last}")
    settled(page)
    page.keyboard.press("End")
    expect(page.locator(".timebar .place")).to_contain_text(f"step {last} of {last}")
    settled(page)
    page.get_by_role("button", name="To the weights that were kept").click()
    settled(page)
    np.testing.assert_array_equal(values(panel.locator("table.terms")), before)


def test_a_moving_slider_asks_for_the_nearest_snapshot_and_then_for_the_exact_step(page: Page) -> None:
    open_run(page, "flowers-wide")
    asked: list[tuple[str, int]] = []
    page.on(
        "request",
        lambda request: (
            asked.append((request.post_data_json["mode"], request.post_data_json["step"]))
            if request.url.endswith("/network")
            else None
        ),
    )
    page.evaluate(
        """async () => {
        const slider = document.querySelector('.timebar input');
        for (let step = 30; step < 60; step += 1) {
          slider.value = step;
          slider.dispatchEvent(new Event('input'));
          await new Promise((done) => setTimeout(done, 5));
        }
      }"""
    )
    settled(page)
    assert asked[-1] == ("exact", 59)
    assert {mode for mode, _ in asked[:-1]} == {"nearest"}
    assert len(asked) < 31, "what is passed over is not asked"
    expect(page.locator(".timebar .place")).to_contain_text("step 59 of")


def test_go_pause_and_step_move_the_slider(page: Page) -> None:
    open_run(page, "flowers")
    slider = page.get_by_label("Time in the training, in steps")
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    page.get_by_role("button", name="Pause").click()  # before the second after which it would move
    expect(slider).to_have_value("0")
    page.get_by_role("button", name="One step on").click()
    expect(slider).to_have_value("1")
    page.get_by_role("button", name="Go").click()
    expect(slider).to_have_value(slider.get_attribute("max") or "", timeout=15_000)  # without animation: by snapshots
    expect(page.get_by_role("button", name="Go")).to_be_visible()


def test_a_step_in_the_curves_is_the_sliders(page: Page) -> None:
    open_run(page, "flowers")
    page.locator(".chart .stage").first.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".timebar .place")).not_to_contain_text("kept")


def test_where_the_rows_are_gone_the_network_answers_for_what_is_typed(page: Page, runs_folder: Path) -> None:
    watched = page.context.watched  # type: ignore[attr-defined]
    watched.expected += ["400 (Bad Request)"]
    folder = runs_folder / "rows-gone"
    shutil.copytree(runs_folder / "houses", folder)
    try:
        data = json.loads((folder / "data.json").read_text())
        data["source"]["location"] = str(folder / "gone.csv")
        (folder / "data.json").write_text(json.dumps(data))
        page.goto(re.sub(r"[?#].*", "", page.url) + "#/run/rows-gone")
        page.locator("section.network").scroll_into_view_if_needed()
        expect(page.locator("section.network .slot.output")).not_to_have_count(0)
        expect(page.locator("section.network .problem")).to_be_hidden()
        panel = page.locator("section.your-row")
        panel.scroll_into_view_if_needed()
        expect(panel.get_by_label("area", exact=True)).to_have_value(re.compile(r"^\d"))
        panel.get_by_label("area", exact=True).fill("150")
        page.wait_for_timeout(500)  # typing rests, and the answer is asked for
        expect(page.locator(".panel[aria-busy]")).to_have_count(0)
        rooms = panel.get_by_label("rooms", exact=True).input_value()
        (wanted,) = Run(Store(folder)).predict({"area": "150", "rooms": rooms})
        assert any(value == pytest.approx(float(wanted), rel=1e-6) for value in values(panel))
        neuron = page.locator("section.neuron")
        neuron.get_by_label("Layer", exact=True).select_option("output")
        neuron.get_by_role("button", name="4 Update").click()
        expect(neuron.locator(".problem")).to_contain_text("true answer")
        panel.get_by_label("The true price").fill("500")
        expect(neuron.get_by_text("A trial with a batch of one")).to_be_visible()
        expect(neuron.locator(".problem")).to_be_hidden()
        rows = neuron.get_by_role("table", name="The update").locator("tbody tr")
        before, gradient, _, _, step, after = cells(
            rows.last
        )  # the bias: it is pulled at whatever the neurons below say
        assert before + step == pytest.approx(after, rel=1e-6, abs=1e-7) and gradient != 0
        neuron.get_by_role("button", name="2 Loss").click()
        expect(neuron.get_by_text("the truth is 500")).to_be_visible()
    finally:
        shutil.rmtree(folder)


# One update in four steps.


def test_one_update_on_your_own_row_is_pytorchs(page: Page, flowers: Opened) -> None:
    open_run(page, "flowers")
    page.get_by_label("Time in the training, in steps").focus()
    page.keyboard.press("Home")
    settled(page)
    panel = open_neuron(page, "layer2", 1)
    network = reopen(flowers.run)[1].network.eval()
    loss = flowers.objective(network(flowers.inputs), Batch(flowers.inputs, flowers.target))
    loss.backward()
    loss = loss.detach()
    gradients = network.weights[1].grad[0, 1]  # type: ignore[index,union-attr]

    panel.get_by_role("button", name="2 Loss").click()
    settled(page)
    assert values(panel.locator(".big"))[0] == pytest.approx(float(loss), rel=1e-5)
    own = network(flowers.inputs)[0, 0].softmax(0)[int(flowers.target)].detach()
    assert values(panel.locator("p", has_text="Your row alone"))[0] == pytest.approx(float(own), rel=1e-5)
    panel.get_by_role("button", name="3 Backward").click()
    expect(panel.locator(".links")).to_contain_text("dL/dz")
    pull, slope, through = values(panel.locator(".links"))
    assert pull * slope == pytest.approx(through, rel=1e-6, abs=1e-12)
    rows = panel.get_by_role("table", name="Gradients of the weights").locator("tbody tr")
    for row in rows.all()[:-1]:
        place = int(re.search(r"\[(\d+)\]", row.locator("th").inner_text())[1])  # type: ignore[index]
        into, _, share, whole = cells(row)
        assert share == pytest.approx(into * through, rel=1e-5, abs=1e-12)
        assert whole == pytest.approx(float(gradients[place].detach()), rel=1e-4, abs=1e-9)

    panel.get_by_role("button", name="4 Update").click()
    expect(panel.get_by_text("A trial with a batch of one")).to_be_visible()
    for row in panel.get_by_role("table", name="The update").locator("tbody tr").all():
        before, _, _, _, step, after = cells(row)
        assert before + step == pytest.approx(after, rel=1e-6, abs=1e-7)
    big = panel.locator(".big").last
    assert values(big)[0] == pytest.approx(float(loss), rel=1e-5)
    before, *decay, rate, mean, size, small, after = values(panel.locator("p.equation").last)
    shrunk = before * (1 - decay[0] * decay[1]) if decay else before
    assert after == pytest.approx(shrunk - rate * mean / (size**0.5 + small), rel=1e-5, abs=1e-7)
    assert before != after


def test_where_weights_are_averaged_an_update_shows_those_that_it_moves(page: Page, flowers: Opened) -> None:
    open_run(page, "flowers")
    page.get_by_label("Time in the training, in steps").focus()
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    settled(page)
    panel = open_neuron(page, "layer2", 1)
    why = panel.get_by_text("Answers come from the running average of the weights")
    terms, store = panel.locator("table.terms tbody tr"), Store(flowers.run.path)
    table, state = reopen(flowers.run)
    with working_at(Place(1)):
        replay(state, table.prepared, store.snapshots.load(0), 3)
    assert state.average is not None

    def weights_shown() -> list[float]:
        return [row[1] for row in map(cells, terms.all()) if len(row) == 3]

    def of(network: torch.nn.Module) -> set[float]:
        return set(network.weights[1][0, 1].tolist())  # type: ignore[index]

    assert set(weights_shown()) <= of(state.average) and not set(weights_shown()) & of(state.network)
    expect(why).to_be_hidden()
    panel.get_by_role("button", name="4 Update").click()
    expect(why).to_be_visible()
    panel.get_by_role("button", name="1 Forward").click()
    assert set(weights_shown()) <= of(state.network)
    open_neuron(page, "layer2", 2)  # its update has not been walked
    expect(why).to_be_hidden()


def test_the_real_batch_can_be_looked_at(page: Page) -> None:
    open_run(page, "flowers")
    panel = open_neuron(page, "layer1", 1)
    panel.get_by_role("button", name="4 Update").click()
    settled(page)
    own = values(panel.get_by_role("table", name="The update"))
    panel.get_by_label("the real batch’s mean").last.check()
    expect(panel.get_by_text("The step that the training really took")).to_be_visible()
    assert values(panel.get_by_role("table", name="The update")) != own


def test_the_four_steps_have_keys(page: Page) -> None:
    open_run(page, "flowers")
    panel = page.locator("section.neuron")
    panel.get_by_role("button", name="1 Forward").focus()
    page.keyboard.press("3")
    expect(panel.get_by_role("button", name="3 Backward")).to_have_attribute("aria-pressed", "true")
    expect(panel.locator(".links")).to_be_visible()


def test_words_differ_for_practitioners_and_numbers_do_not(page: Page) -> None:
    open_run(page, "flowers")
    panel = page.locator("section.neuron")
    numbers = values(panel.locator("table.terms"))
    expect(panel.locator("table.terms")).to_contain_text("Weight")
    page.get_by_role("radio", name="Practitioner").check()
    expect(panel.get_by_text("z = Σ x·w + b")).to_be_visible()
    assert values(panel.locator("table.terms")) == numbers


def test_choosing_a_neuron_keeps_the_focus(page: Page) -> None:
    open_run(page, "flowers")
    panel = page.locator("section.neuron")
    place = page.locator(".timebar .place").inner_text()
    panel.get_by_label("Layer", exact=True).focus()
    page.keyboard.press("ArrowUp")
    expect(panel.locator("h2")).to_have_text(re.compile(r"Neuron layer 1 \[0\]"))
    expect(panel.get_by_label("Layer", exact=True)).to_be_focused()
    panel.get_by_label("Neuron", exact=True).focus()
    for _ in range(2):
        page.keyboard.press("ArrowUp")
    expect(panel.locator("h2")).to_have_text(re.compile(r"Neuron layer 1 \[2\]"))
    expect(panel.get_by_label("Neuron", exact=True)).to_be_focused()
    settled(page)
    assert page.locator(".timebar .place").inner_text() == place, "the arrows moved no time"


# Your row.


def test_an_edited_row_is_answered_as_by_predict(page: Page, flowers: Opened) -> None:
    open_run(page, "flowers")
    panel = page.locator("section.your-row")
    panel.scroll_into_view_if_needed()
    panel.get_by_label("Row", exact=True).fill("4")
    page.keyboard.press("Enter")
    own = row_cells(flowers, 4)
    expect(panel.get_by_label("size")).to_have_value(re.compile(re.escape(own["size"].rstrip("0"))))
    panel.get_by_label("size").fill("2.5")
    panel.get_by_label("colour").select_option("white")
    expect(panel.get_by_role("button", name="Undo changes")).to_be_visible()
    expected = flowers.run.predict_proba({**own, "size": "2.5", "colour": "white"})[0]
    best = str(flowers.run.classes[int(expected.argmax())])
    shown = panel.locator(".shares li")
    expect(shown.first.locator("data")).to_have_text(f"{100 * expected.max():.1f}%")
    settled(page)
    assert shown.first.locator("span").first.inner_text()[:20] == best[:20]
    np.testing.assert_allclose(values(panel.locator(".shares")), np.sort(expected)[::-1], rtol=1e-5)
    for line in panel.locator(".diverging li").all():
        assert line.locator("small").inner_text().strip()
        expect(line.locator("> data")).to_have_text(re.compile(r"^([+−][\d.]+|0) points$"))
    panel.get_by_role("button", name="Undo changes").click()
    expect(panel.get_by_label("size")).to_have_value(re.compile(re.escape(own["size"].rstrip("0"))))
    assert page.evaluate("window.hacked") is None


def test_rows_are_found_by_text_and_worst_first(page: Page, runs_folder: Path) -> None:
    open_run(page, "flowers")
    panel = page.locator("section.your-row")
    panel.get_by_text("Choose from a list").click()
    with page.expect_response(re.compile(r"/rows\?.*sort=worst")):
        panel.get_by_role("radio", name="worst first").check()
    rows = panel.locator("table.rows tbody tr")
    expect(rows).to_have_count(10)
    for _ in range(100):  # until what has come is drawn
        losses = [cells(row)[-1] for row in rows.all()]
        if losses == sorted(losses, reverse=True):
            break
        page.wait_for_timeout(50)
    assert losses == sorted(losses, reverse=True)
    panel.get_by_label("Search").fill("yellow")
    expect(panel.locator("table.rows")).to_contain_text("yellow")
    expect(panel.locator("table.rows")).not_to_contain_text("white")
    rows.first.get_by_role("button").click()
    expect(panel.get_by_label("colour")).to_have_value("yellow")


def test_a_regression_is_opened_too(page: Page, runs_folder: Path) -> None:
    open_run(page, "houses")
    run = Run(Store(runs_folder / "houses"))
    panel = page.locator("section.your-row")
    panel.scroll_into_view_if_needed()
    panel.get_by_label("area").fill("120")
    panel.get_by_label("rooms").fill("3")
    expected = float(run.predict({"area": "120", "rooms": "3"})[0])
    expect(panel.locator(".answer-box data")).to_have_attribute("value", re.compile(re.escape(f"{expected:.2f}"[:-1])))
    page.locator("section.errors").scroll_into_view_if_needed()
    expect(page.locator("svg.pairs")).to_have_attribute("aria-label", re.compile("Truth against answer of"))


# Errors, maps.


def test_from_an_error_to_the_neurons_and_to_what_excites_them(page: Page, flowers: Opened) -> None:
    open_run(page, "flowers")
    page.get_by_label("Time in the training, in steps").focus()
    page.keyboard.press("Home")  # before it has learned anything it is often wrong
    settled(page)
    table, state = reopen(flowers.run)
    network = state.network.eval().requires_grad_(False)
    errors = page.locator("section.errors")
    errors.scroll_into_view_if_needed()
    expect(errors.locator(".confusion td button")).to_have_count(9)
    counts = [int(one.inner_text()) for one in errors.locator(".confusion td button").all()]
    assert sum(counts) == len(table.prepared.validation)
    assert sum(counts[place] for place in range(9) if place % 4) > 0
    wrong = max((place for place in range(9) if place % 4), key=lambda place: counts[place])
    errors.locator(".confusion td button").nth(wrong).click()
    expect(errors.locator("table.rows tbody tr")).to_have_count(min(10, counts[wrong]))
    expect(errors.locator("table.rows .wrong")).to_have_count(min(10, counts[wrong]))
    errors.locator("table.rows tbody button").first.click()
    blame = page.locator("section.responsible")
    expect(blame.locator(".blame li")).not_to_have_count(0)
    settled(page)
    first = blame.locator(".blame button").first
    layer, number = re.search(r"layer (\d) \[(\d+)\]", first.inner_text()).groups()  # type: ignore[union-attr]
    first.click()
    page.locator("section.neuron").scroll_into_view_if_needed()
    expect(page.locator("section.neuron h2")).to_have_text(f"Neuron layer {layer} [{number}]")
    blame.scroll_into_view_if_needed()
    expect(blame.locator("article")).to_have_count(9)
    settled(page)
    with torch.no_grad():
        flowing = network.encode(table.prepared.train.inputs)[0]
        for part in list(network.member(0))[: int(layer)]:
            flowing = part(flowing)
    expected = flowing[:, int(number)].sort(descending=True).values[:9]
    np.testing.assert_allclose(values(blame.locator(".items")), expected, rtol=1e-4, atol=1e-6)


def test_first_layer_filters_are_the_weights(page: Page, flowers: Opened) -> None:
    open_run(page, "flowers")
    panel = page.locator("section.filters")
    panel.scroll_into_view_if_needed()
    expect(panel.locator("canvas.heat")).to_have_attribute(
        "aria-label", re.compile("8 neurons of layer 1 by 3 columns")
    )
    assert panel.locator("canvas.heat").evaluate("(c) => c.getContext('2d').getImageData(0, 0, 4, 1).data[3]") == 255
    panel.get_by_text("The numbers as a table").click()
    weights = flowers.network.weights[0][0]  # all members share them; each scales its inputs
    for row in panel.locator("tbody tr").all():
        neuron = int(row.locator("th").inner_text())
        for weight in cells(row):
            assert float((weights[neuron] - weight).abs().min()) == 0.0


def test_the_decision_boundary_is_drawn_and_told(page: Page) -> None:
    open_run(page, "flowers")
    panel = page.locator("section.boundary")
    panel.scroll_into_view_if_needed()
    expect(panel.locator("canvas")).to_have_attribute("aria-label", re.compile("% of the area"))
    colours = panel.locator("canvas").evaluate(
        """(c) => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size"""
    )
    assert colours > 20
    panel.get_by_text("The same as a table").click()
    expect(panel.locator("tbody tr")).to_have_count(5)
    panel.get_by_label("Across").select_option("size")
    settled(page)
    assert page.evaluate("window.hacked") is None


# For everybody.


def test_a_keyboard_is_enough_inside_the_run(page: Page) -> None:
    open_run(page, "flowers")
    page.get_by_label("Time in the training, in steps").focus()
    reached = set()
    for _ in range(140):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.closest('section')?.className.split(' ').pop() ?? ''"))
    assert {"network", "neuron", "your-row", "errors", "responsible", "boundary"} <= reached
    assert page.evaluate("document.querySelectorAll('.slot[tabindex=\"0\"]').length") == 1


@pytest.mark.parametrize("width", [320, 390])
def test_nothing_of_it_is_wider_than_a_phone(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    open_run(page, "flowers-wide")
    for name in ("neuron", "your-row", "errors", "responsible", "filters", "boundary"):
        page.locator(f"section.{name}").scroll_into_view_if_needed()
        settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
