"""Runs that started from a pretrained network, opened: their outputs, the four steps of an update, attention, filters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nudgenet
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.page import listing, states
from nudgenet.page.opened import OpenedRun, OpenedRuns
from nudgenet.pipeline import reopen
from nudgenet.runs.store import Store

ROW = {"part": "validation", "index": 2}
NAMES = ("text", "text-beside", "picture", "sound")


@pytest.fixture
def trunk_page(pretrained_runs: Path, page_over: Callable[[Path], Any]) -> Any:
    return page_over(pretrained_runs)


def inputs_of(page: Any, name: str) -> tuple[PretrainedNetwork, dict[str, torch.Tensor], torch.Tensor]:
    """A run's network, and a validation row as it takes it in."""
    run = nudgenet.load(name, page.context.runs)
    part = reopen(run)[0].prepared.validation
    network = run.network
    assert isinstance(network, PretrainedNetwork)
    return network.eval(), {key: tensor[2:3] for key, tensor in part.inputs.items()}, part.targets[2:3]


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_on_the_trunk_opens(trunk_page: Any, name: str) -> None:
    found = trunk_page.post(f"runs/{name}/network", {"row": ROW})
    network, inputs, _ = inputs_of(trunk_page, name)
    assert "not drawn neuron by neuron" in found["closed"] and "\n" not in found["closed"]
    with torch.no_grad():
        outputs = network(inputs)
        features = (network.read(inputs) - network.center) / network.spread
        straight = network.direct(features)[0]
    answers = outputs.mean(dim=1)[0] if outputs.ndim == 3 else outputs[0]
    probabilities = [one["probability"] for one in found["answer"]["probabilities"]]
    rule = nudgenet.load(name, trunk_page.context.runs).rule
    expected = rule.scale(answers.double().softmax(dim=0)[None].numpy())[0] if outputs.ndim == 2 else None
    assert expected is None or probabilities == pytest.approx(expected.tolist(), rel=1e-5)
    layer = "straight" if network.rest is not None else "output"
    for neuron in (0, 1):
        one = trunk_page.post(f"runs/{name}/neuron", {"row": ROW, "layer": layer, "neuron": neuron})
        products = sum(term["product"] for term in one["terms"])
        assert products + one["others"]["sum"] + one["bias"] == pytest.approx(one["sum"], abs=1e-9)
        assert one["sum"] == pytest.approx(float(straight[neuron]), rel=1e-5, abs=1e-6)
        for term in one["terms"]:
            place = int(term["name"].rsplit(" ", 1)[1]) - 1
            assert term["input"] == pytest.approx(float(features[0, place]), rel=1e-5, abs=1e-6)
            assert term["weight"] == network.direct.weight[neuron, place].item()
    for what in ("responsible", "whatif"):
        assert trunk_page.post(f"runs/{name}/{what}", {"row": ROW})["at"]["exact"]


@pytest.mark.parametrize("name", NAMES)
def test_the_four_steps_of_an_update(trunk_page: Any, name: str) -> None:
    per_epoch = trunk_page.get(f"runs/{name}/time")["steps_per_epoch"]
    for step in (1, 2 * per_epoch + 1):  # the trunk still as it was, and learning
        where = {"row": ROW, "layer": "output", "neuron": 0, "step": step, "mode": "exact"}
        mine = trunk_page.post(f"runs/{name}/update", where)
        assert mine["at"]["exact"] and mine["backward"]["dL_dsum"] is not None and mine["loss_after"] < mine["loss"]
        real = trunk_page.post(f"runs/{name}/update", {**where, "batch": "real"})
        assert real["at"]["exact"] and real["update"]["gradient_norm"] > 0


def test_attention_in_the_trunk_is_that_of_transformers(trunk_page: Any) -> None:
    found = trunk_page.post("runs/text/attention", {"row": ROW})
    network, inputs, _ = inputs_of(trunk_page, "text")
    tokens = inputs["tokens"][inputs["tokens"] > 0].long()[None] - 1
    network.trunk.set_attn_implementation("eager")  # type: ignore[operator]
    with torch.no_grad():
        expected = network.trunk(input_ids=tokens, output_attentions=True).attentions
    assert len(found["layers"]) == len(expected) == 2
    for layer, maps in zip(found["layers"], expected, strict=True):
        heads = np.array(layer["heads"])
        assert heads.shape == tuple(maps[0].shape)
        np.testing.assert_allclose(heads, maps[0].numpy(), rtol=1e-4, atol=1e-6)
    cells = trunk_page.get("runs/text/rows?from=2&count=1")["rows"][0]["cells"]
    assert found["words"] == ["[CLS]", *cells["review"].split(), "[SEP]"] and found["note"] == ""


def test_looking_at_attention_leaves_the_network_as_it_was(trunk_page: Any) -> None:
    before = trunk_page.post("runs/text/network", {"row": ROW})
    trunk_page.post("runs/text/attention", {"row": ROW})
    assert trunk_page.post("runs/text/network", {"row": ROW}) == before


def test_of_a_long_text_the_beginning_is_shown(trunk_page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nudgenet.page.insights.MOST_LOOKS", 4 * 5 * 5)
    found = trunk_page.post("runs/text/attention", {"row": ROW})
    assert len(found["words"]) == 5 and "The first 5 of 11" in found["note"]
    assert np.array(found["layers"][0]["heads"]).shape == (2, 5, 5)


def test_the_first_filters_over_a_picture(trunk_page: Any) -> None:
    found = trunk_page.post("runs/picture/filters", {})
    network, _, _ = inputs_of(trunk_page, "picture")
    weights = network.trunk.embeddings.patch_embeddings.projection.weight  # type: ignore[union-attr]
    one = found["filters"][0]
    assert found["kind"] == "images" and found["layer"] is None
    assert np.array(one["values"]).transpose(2, 0, 1).tolist() == weights[one["index"]].tolist()  # type: ignore[index]


def test_what_cannot_be_shown_is_one_line(trunk_page: Any) -> None:
    assert "no weights that a person could read" in trunk_page.error("POST", "runs/sound/filters", {})
    assert "no attention maps over words" in trunk_page.error("POST", "runs/picture/attention", {"row": ROW})
    assert "no such layer" in trunk_page.error("POST", "runs/text/neuron", {"row": ROW, "layer": "layer1", "neuron": 0})


def test_of_many_rows_some_are_looked_at_and_counted(trunk_page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SLOW_JUDGED", 7)
    count = nudgenet.load("text", trunk_page.context.runs).summary["rows"]["validation"]
    assert count > 10
    matrix = trunk_page.post("runs/text/confusion", {})
    assert np.sum(matrix["matrix"]) == 7 and matrix["in_part"] == count
    rows = "runs/text/rows?part=validation&count=5"
    worst = [trunk_page.get(f"{rows}&sort=worst&from={begin}") for begin in (0, 5)]
    assert [len(found["rows"]) for found in worst] == [5, 2]
    assert all((found["total"], found["looked_at"]) == (7, 7) for found in worst)
    sought = trunk_page.get(f"{rows}&find=nobody+wrote+this")
    assert (sought["total"], sought["looked_at"]) == (0, 7)
    ordered = trunk_page.get(f"{rows}&from=5")
    assert len(ordered["rows"]) == 5 and (ordered["total"], ordered["looked_at"]) == (count, count)


def test_the_pace_is_that_of_steps_without_the_reading_of_all_rows(
    pretrained_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as the trunk stays, the way to any step begins with what it says of every row."""
    monkeypatch.setattr(states, "SHORTEST_S", 0.0)
    opened, store = OpenedRuns(), Store(pretrained_runs / "text")

    def pace(run: OpenedRun) -> float | None:
        return run._states.pace

    frozen = opened.ask(store, lambda run: run.frozen_steps)
    for step, known in ((1, False), (frozen + 1, True)):
        opened.ask(store, lambda run, step=step: run.snapshot(step, "exact"))
        assert (opened.ask(store, pace) is not None) == known


def test_a_trunk_that_stays_as_it_was_is_asked_once(trunk_page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    monkeypatch.setattr(listing, "with_features", lambda network, part: read.append(len(part)) or part)
    trunk_page.post("runs/text/confusion", {"step": 0})
    trunk_page.post("runs/text/confusion", {"step": 1, "mode": "exact"})
    assert len(read) == 1
    last = trunk_page.get("runs/text/time")["last_step"]
    trunk_page.post("runs/text/confusion", {"step": last})
    assert len(read) == 1, "a trunk that has learned is asked anew"


@pytest.mark.parametrize("name", NAMES)
def test_judged_with_known_features_is_judged_alike(trunk_page: Any, name: str) -> None:
    step = {"step": 1, "mode": "exact"}
    worst = trunk_page.get(f"runs/{name}/rows?sort=worst&count=3&step=1&mode=exact")["rows"]
    for row in worst:
        alone = trunk_page.post(f"runs/{name}/network", {"row": {"part": "validation", "index": row["index"]}, **step})
        assert alone["loss"] == pytest.approx(row["loss"], rel=1e-4)


def test_a_changed_number_beside_a_sound_leaves_the_sound(trunk_page: Any) -> None:
    before = trunk_page.post("runs/sound/network", {"row": ROW})
    changed = {"from": ROW, "values": {"gain": "0.31"}}
    after = trunk_page.post("runs/sound/network", {"row": changed})
    assert after["answer"]["probabilities"] != before["answer"]["probabilities"]
