"""A run opened down to a neuron: every number on the page is the one that PyTorch computed."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import nudgenet
from nudgenet.networks import rebuild
from nudgenet.page.opened import OpenedRuns
from nudgenet.records import Batch
from nudgenet.runs.store import Store
from nudgenet.training.loop import clip_gradients
from nudgenet.training.objectives import make_objective
from nudgenet.training.plan import make_plan
from nudgenet.training.recorder import PROOF
from nudgenet.training.state import part_of

KINDS = ("binary", "multiclass", "regression")
ROW = {"part": "validation", "index": 5}


def printed(python: str) -> dict[str, float]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(python, "<copied>", "exec"), {})
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in said.getvalue().splitlines()}


def middle_of(page: Any, name: str) -> int:
    """A step without a snapshot."""
    time = page.get(f"runs/{name}/time")
    steps = [step for step in range(1, time["last_step"] - 1) if step not in time["snapshots"]]
    return steps[len(steps) // 2]


def asked(page: Any, name: str, what: str, **more: Any) -> Any:
    return page.post(f"runs/{name}/{what}", {"row": ROW, **more})


def test_the_time_of_a_run(page: Any) -> None:
    time = page.get("runs/binary/time")
    run = nudgenet.load("binary", page.context.runs)
    assert time["last_step"] == run.epochs[-1].step and time["last_step"] % time["steps_per_epoch"] == 0
    assert time["best_step"] == run.verdict.best_epoch * time["steps_per_epoch"]
    assert time["exact"] and time["snapshots"][0] == 0 and time["snapshots"][-1] == time["last_step"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_is_that_of_predict(page: Any, kind: str) -> None:
    run = nudgenet.load(kind, page.context.runs)
    listed = page.get(f"runs/{kind}/rows?part=validation&from=5&count=1")["rows"][0]
    found = asked(page, kind, "network")
    values = {name: text or None for name, text in listed["cells"].items()}
    assert found["at"]["exact"] and found["truth"] == listed["truth"] and found["loss"] == pytest.approx(listed["loss"])
    if kind == "regression":
        assert found["answer"]["value"] == run.predict(values)[0] == pytest.approx(listed["answer"])
        return
    probabilities = [item["probability"] for item in found["answer"]["probabilities"]]
    assert probabilities == run.predict_proba(values)[0].tolist()
    assert found["answer"]["label"] == run.predict(values)[0] == listed["answer"]
    assert found["answer"]["probability"] == pytest.approx(listed["probability"], rel=1e-5)
    assert found["loss"] == pytest.approx(
        -np.log(run_unscaled(run, values)[run.classes.index(found["truth"])]), rel=1e-4
    )


def run_unscaled(run: Any, values: dict[str, Any]) -> np.ndarray:
    """Probabilities before the temperature."""
    inputs, _ = run.preparation.apply(run.read(values))
    with torch.inference_mode():
        outputs = run.network(inputs)
    return outputs.double().softmax(dim=2).mean(dim=1)[0].numpy()  # type: ignore[no-any-return]


def test_typed_values_are_prepared_as_predict_does(page: Any) -> None:
    run = nudgenet.load("binary", page.context.runs)
    changed = {"area": "199.5", "city": "Lyon", "age": ""}
    row = {"from": ROW, "values": changed}
    cells = page.get("runs/binary/rows?from=5&count=1")["rows"][0]["cells"]
    found = page.post("runs/binary/network", {"row": row})
    expected = run.predict_proba({name: text or None for name, text in {**cells, **changed}.items()})[0]
    assert [item["probability"] for item in found["answer"]["probabilities"]] == expected.tolist()
    alone = {"area": "120", "city": "Atlantis"}
    found = page.post("runs/binary/network", {"row": {"values": alone}})
    expected, warnings = run.answer(alone)
    expected = expected[0]
    assert found["warnings"] == warnings and len(warnings) == 2
    assert [item["probability"] for item in found["answer"]["probabilities"]] == expected.tolist()
    assert found["truth"] is None and found["loss"] is None and "Atlantis" not in str(found["answer"])
    known = page.post("runs/binary/network", {"row": {"values": alone, "truth": "yes"}})
    assert known["truth"] == "yes" and known["loss"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_neuron_adds_up_at_any_step(page: Any, kind: str) -> None:
    for step, mode in ((None, "nearest"), (0, "nearest"), (middle_of(page, kind), "exact")):
        network = asked(page, kind, "network", step=step, mode=mode, member=1)
        for layer in [*network["layers"], {"name": "output", "shown": network["outputs"]}]:
            for shown in layer["shown"][:3]:
                where = {"layer": layer["name"], "neuron": shown["index"], "member": 1}
                found = asked(page, kind, "neuron", step=step, mode=mode, **where)
                assert found["at"] == network["at"] and found["at"]["exact"]
                products = sum(term["product"] for term in found["terms"])
                assert products + found["others"]["sum"] + found["bias"] == pytest.approx(
                    found["sum"], rel=1e-12, abs=1e-12
                )
                for term in found["terms"]:
                    assert np.float32(term["input"]) * np.float32(term["weight"]) == np.float32(term["product"])
                    assert term["from"][0] in ("input", "layer1", "layer2")
                assert found["fired"] == shown.get("fired", shown.get("output"))
                said = printed(found["python"])
                assert said["sum"] == pytest.approx(found["sum"], rel=1e-6, abs=1e-9)
                assert said["fired"] == pytest.approx(found["fired"], rel=1e-6, abs=1e-9)
                if layer["name"] != "output":
                    assert found["fired"] == max(0.0, found["sum"])


def test_inputs_are_named_in_the_columns_own_unit(page: Any) -> None:
    names = set()
    for neuron in range(0, 60, 3):
        found = asked(page, "binary", "neuron", layer="layer1", neuron=neuron)
        names |= {term["name"] for term in found["terms"]}
        columns = asked(page, "binary", "network", unfold=["input"])["columns"]
        by_index = {column["index"]: column["name"] for column in columns}
        assert all(term["name"].startswith(by_index[term["from"][1]]) for term in found["terms"])
    edges = [name for name in names if name.startswith("area: piece")]
    assert edges
    for name in edges:
        low, high = (float(edge) for edge in name.split("(")[1].rstrip(")").split(" to "))
        assert 40 <= low < high <= 250
    columns = asked(page, "binary", "network")["columns"]
    assert sum(column["share"] for column in columns) == pytest.approx(1)
    assert {column["name"] for column in columns} == {"area", "age", "city", "sold", "price"}


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_on_a_row_is_torchs_to_the_last_bit(page: Any, kind: str) -> None:
    """An independent step: autograd and a new optimizer of torch's own on the snapshot's weights and memory."""
    store = Store(page.context.runs / kind)
    run, step = nudgenet.load(kind, page.context.runs), store.snapshots.steps()[1]
    if step >= run.epochs[-1].step:
        step = 0
    tensors, _ = store.snapshots.load(step)
    shape = OpenedRuns().ask(store, lambda opened: opened.shape)
    network = rebuild(shape, run.settings, part_of(tensors, "network."))
    plan = make_plan(run.settings, shape)[0]
    part = OpenedRuns().ask(store, lambda opened: opened.origin()[0].prepared.validation)
    inputs = {name: tensor[5:6] for name, tensor in part.inputs.items()}
    objective = make_objective(run.task.kind, part, shape.num_outputs, run.settings)
    spared = [p for name, p in network.named_parameters() if p.ndim < 2 or "bias" in name]
    decayed = [p for name, p in network.named_parameters() if not (p.ndim < 2 or "bias" in name)]
    groups = [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": spared, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=plan.learning_rate_at(step), fused=True)
    for index, parameter in enumerate([*decayed, *spared]):
        memory = part_of(tensors, f"optimizer.{index}.")
        if memory:
            optimizer.state[parameter] = {name: tensor.clone() for name, tensor in memory.items()}
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    batch = Batch(inputs, part.targets[5:6])
    outputs = network(inputs)
    loss = objective(outputs, batch)
    raw = torch.autograd.grad(loss, list(network.parameters()))
    for parameter, gradient in zip(network.parameters(), raw, strict=True):
        parameter.grad = torch.empty_like(parameter).copy_(gradient)  # the fused step walks through both side by side
    norm = clip_gradients(optimizer, plan.clip)
    optimizer.step()
    of = dict(network.named_parameters())
    raw_of = dict(zip(of, raw, strict=True))
    member, neuron = 2, 0
    for layer, name, place in (
        ("layer1", "weights.0", (0, neuron)),
        ("layer2", "weights.1", (0, neuron)),
        ("output", "output_weight", (0, member, slice(None), neuron)),
    ):
        found = asked(page, kind, "update", step=step, layer=layer, neuron=neuron, member=member)
        assert found["at"] == {"step": step, "exact": True, "why": "a snapshot"}
        assert found["loss"] == found["loss_before"] == loss.item()
        assert found["said"]["members"] == outputs.shape[1]
        if run.task.kind == "regression":
            assert found["said"]["own"] is None and found["said"]["value"] is not None
        else:  # at the step before the update, of the network that is trained
            truth = int(part.targets[5])
            assert found["said"]["truth"] == run.classes[truth]
            assert found["said"]["own"] == pytest.approx(outputs[0, member].softmax(0)[truth].item(), rel=1e-5)
        with torch.no_grad():
            assert found["loss_after"] == float(objective(network(inputs), batch))
        update, backward = found["update"], found["backward"]
        assert update["gradient_norm"] == norm and update["learning_rate"] == plan.learning_rate_at(step)
        assert update["clip_scale"] == (1.0 if norm <= plan.clip else plan.clip / (norm + 1e-6))
        entries = {key: tensor[place].tolist() for key, tensor in {
            "before": before[name], "after": of[name].detach(), "gradient": of[name].grad,
            "first_moment": optimizer.state[of[name]]["exp_avg"], "second_moment": optimizer.state[of[name]]["exp_avg_sq"],
        }.items()}  # fmt: skip
        every = set(zip(*entries.values(), strict=True))
        for term in update["terms"]:
            assert tuple(term[key] for key in entries) in every
            assert term["step"] == term["after"] - term["before"]
        gradients = raw_of[name][place].tolist()
        assert all(term["gradient"] in gradients for term in backward["terms"])
        assert backward["dL_dsum"] == pytest.approx(backward["dL_dfired"] * backward["kink_slope"], rel=1e-6)
        for term in backward["terms"]:
            assert np.float32(term["input"]) * np.float32(backward["dL_dsum"]) == np.float32(term["share"])
            if not backward["shared_with_other_members"]:
                assert term["share"] == pytest.approx(term["gradient"], rel=1e-6)
        assert backward["shared_with_other_members"] == (layer != "output")
        assert printed(found["python"])["after"] == pytest.approx(update["terms"][0]["after"], rel=1e-5)


def test_the_real_batch_is_the_step_that_the_training_took(page: Any) -> None:
    step = middle_of(page, "binary")
    where = {"layer": "layer2", "neuron": 3, "mode": "exact"}
    found = asked(page, "binary", "update", step=step, batch="real", **where)
    assert found["averaged"] == (nudgenet.load("binary", page.context.runs).settings.ema > 0)
    assert found["at"]["exact"] and found["batch"] == "real"
    recorded = Store(page.context.runs / "binary").batches()
    place = recorded["step"].tolist().index(step + 1)
    assert (
        found["loss"] == recorded["loss"][place]
        and found["update"]["gradient_norm"] == recorded["gradient_norm"][place]
    )
    assert found["update"]["learning_rate"] == recorded["learning_rate"][place]
    now, then = (asked(page, "binary", "update", step=one, **where)["forward"] for one in (step, step + 1))
    before = {term["name"]: term["weight"] for term in now["terms"]}
    after = {term["name"]: term["weight"] for term in then["terms"]}
    compared = 0
    for term in found["update"]["terms"]:
        assert term["before"] == before[term["name"]]
        if term["name"] in after:
            assert term["after"] == after[term["name"]]
            compared += 1
    assert compared >= 4
    assert found["update"]["bias"]["before"] == now["bias"] and found["update"]["bias"]["after"] == then["bias"]


def test_looking_changes_nothing(page: Any) -> None:
    """The same questions give the same answers, whatever was asked between them."""
    step = middle_of(page, "binary")
    where = {"layer": "layer1", "neuron": 1, "step": step, "mode": "exact"}
    questions = [("network", where), ("neuron", where), ("update", where), ("update", {**where, "batch": "real"})]
    first = [asked(page, "binary", what, **more) for what, more in questions]
    asked(page, "binary", "update", **{**where, "step": step + 1})
    asked(page, "binary", "responsible")
    assert [asked(page, "binary", what, **more) for what, more in reversed(questions)] == first[::-1]


def test_the_last_update_is_shown_where_there_is_no_next_one(page: Any) -> None:
    last = page.get("runs/binary/time")["last_step"]
    found = asked(page, "binary", "update", step=last, layer="output", neuron=0)
    assert found["at"]["step"] == last - 1 and "last update" in found["at"]["why"]
    assert any(term["step"] for term in found["update"]["terms"])


def test_rows_are_listed_with_the_worst_first(page: Any) -> None:
    run = nudgenet.load("binary", page.context.runs)
    found = page.get("runs/binary/rows?part=train&sort=worst&count=20")
    losses = [row["loss"] for row in found["rows"]]
    assert losses == sorted(losses, reverse=True) and found["total"] == run.summary["rows"]["train"]
    assert found["columns"][:2] == ["area", "age"] and "dear" not in found["rows"][0]["cells"]
    for row in found["rows"]:
        assert row["wrong"] == (row["answer"] != row["truth"])
    in_order = page.get("runs/binary/rows?part=train&from=3&count=2")["rows"]
    assert [row["index"] for row in in_order] == [3, 4]
    other = page.get("runs/binary/rows?part=train&from=3&count=2&step=0")
    assert other["at"]["step"] == 0 and other["rows"][0]["loss"] != in_order[0]["loss"]


def test_test_rows_show_what_was_saved(page: Any) -> None:
    found = page.get("runs/binary/rows?part=test&step=0&count=500")
    saved = pq.read_table(page.context.runs / "binary" / "test_predictions.parquet").to_pylist()
    assert [(row["answer"], row["truth"], row["loss"]) for row in found["rows"]] == [
        (row["prediction"], row["actual"], row["loss"]) for row in saved
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_what_if_a_column_were_as_usual(page: Any, kind: str) -> None:
    run = nudgenet.load(kind, page.context.runs)
    found = asked(page, kind, "whatif")
    cells = page.get(f"runs/{kind}/rows?from=5&count=1")["rows"][0]["cells"]
    sizes = [abs(column["change"]) for column in found["columns"]]
    assert sizes == sorted(sizes, reverse=True)
    for column in found["columns"]:
        values = {name: text or None for name, text in {**cells, column["name"]: column["typical"]}.items()}
        if kind == "regression":
            expected, before = run.predict(values)[0], found["number"]
        else:
            place = run.classes.index(found["answer"])
            expected, before = run.predict_proba(values)[0][place], found["probabilities"][place]["probability"]
        assert column["answer_if_typical"] == pytest.approx(expected, rel=1e-4, abs=1e-6)
        assert column["change"] == pytest.approx(before - column["answer_if_typical"])


def test_the_neurons_that_speak_for_an_answer(page: Any) -> None:
    """Over a layer without biases behind it, fired x gradient adds up to what the layer brings to the lead."""
    found = asked(page, "binary", "responsible", member=1)["neurons"]
    assert found and all(neuron["layer"] in ("layer1", "layer2") for neuron in found)
    sizes = [abs(neuron["share"]) for neuron in found]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] > 0
    other = asked(page, "binary", "responsible", member=2)["neurons"]
    assert other != found


def test_the_rows_that_excite_a_neuron(page: Any) -> None:
    found = asked(page, "binary", "exciting", layer="layer1", neuron=4, member=1)
    items = found["items"]
    fired = [item["fired"] for item in items]
    assert len(items) == 9 and fired == sorted(fired, reverse=True)
    for item in items[:3]:
        row = {"part": "train", "index": item["index"]}
        again = page.post("runs/binary/neuron", {"row": row, "layer": "layer1", "neuron": 4, "member": 1})
        assert again["fired"] == pytest.approx(item["fired"], rel=1e-5)
    for index in range(0, 150, 10):
        row = {"part": "train", "index": index}
        one = page.post("runs/binary/neuron", {"row": row, "layer": "layer1", "neuron": 4, "member": 1})
        assert one["fired"] <= fired[0] * (1 + 1e-6)


def test_what_was_answered_for_what(page: Any) -> None:
    run = nudgenet.load("multiclass", page.context.runs)
    found = page.post("runs/multiclass/confusion", {})
    matrix = np.array(found["matrix"])
    assert matrix.sum() == run.summary["rows"]["validation"] and found["classes"] == run.classes
    assert np.trace(matrix) / matrix.sum() == pytest.approx(run.metrics["validation"]["accuracy"])
    pairs = page.post("runs/regression/confusion", {})["pairs"]
    errors = np.diff(np.array(pairs), axis=1)
    rmse = nudgenet.load("regression", page.context.runs).metrics["validation"]["rmse"]
    assert np.sqrt((errors**2).mean()) == pytest.approx(rmse, rel=1e-5)


def test_the_boundary_is_the_answer_over_two_columns(page: Any) -> None:
    run = nudgenet.load("binary", page.context.runs)
    found = asked(page, "binary", "boundary", x="area", y="age", resolution=5)
    cells = page.get("runs/binary/rows?from=5&count=1")["rows"][0]["cells"]
    for up, across in ((0, 4), (2, 2), (4, 1)):
        values = {**cells, "area": found["x"][across], "age": found["y"][up]}
        expected = run.answer(values)[0][0, 1]
        assert found["grid"][up][across] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert found["points"] and all(point["truth"] in ("yes", "no") for point in found["points"])
    areas = {float(row["cells"]["area"]) for row in page.get("runs/binary/rows?part=train&count=500")["rows"]}
    assert all(min(abs(point["x"] - area) for area in areas) < 1e-3 for point in found["points"])
    assert "grid" in page.post("runs/binary/boundary", {"x": "area", "y": "age", "resolution": 2})


def test_filters_are_the_first_layers_weights(page: Any) -> None:
    found = page.post("runs/binary/filters", {})
    assert found["kind"] == "columns" and len(found["filters"][0]["values"]) == len(found["filters"][0]["columns"])
    line = page.error("POST", "runs/binary/attention", {"row": ROW})
    assert "transformer" in line
    assert "plain tables" in page.error("GET", "runs/binary/item?part=train&index=0")


@pytest.mark.parametrize(
    ("address", "body", "words"),
    [
        ("network", {}, "A row is needed"),
        ("network", {"row": {"part": "validation", "index": 10**6}}, "no such row"),
        ("network", {"row": {"part": "nowhere", "index": 0}}, "no such part"),
        ("network", {"row": {"values": {}}}, "at least one value"),
        ("network", {"row": {"values": {"area": 3}}}, "texts"),
        ("network", {"row": {"from": ROW, "values": {"arae": "3"}}}, "Did you mean"),
        ("network", {"row": ROW, "member": 99}, "no such network"),
        ("network", {"row": ROW, "step": -1}, "whole number"),
        ("network", {"row": ROW, "mode": "rough"}, "nearest"),
        ("neuron", {"row": ROW, "layer": "layer9", "neuron": 0}, "no such layer"),
        ("neuron", {"row": ROW, "layer": "layer1", "neuron": "0"}, "no such neuron"),
        ("neuron", {"row": ROW, "layer": "layer1", "neuron": True}, "no such neuron"),
        ("update", {"row": ROW, "layer": "layer1", "neuron": 0, "batch": "mine"}, "real"),
        ("update", {"row": {"values": {"area": "3"}}, "layer": "layer1", "neuron": 0}, "true answer"),
        ("network", {"row": {"values": {"area": "3"}, "truth": "maybe"}}, "none of the classes"),
        ("boundary", {"x": "area", "y": "city"}, "column of numbers"),
    ],
)
def test_wrong_questions_are_answered_in_one_line(page: Any, address: str, body: dict[str, Any], words: str) -> None:
    assert words in page.error("POST", f"runs/binary/{address}", body)


def test_no_such_run(page: Any) -> None:
    assert "nobody" in page.error("POST", "runs/nobody/network", {"row": ROW}, status=404)


# --- what is missing ------------------------------------------------------------------------------


@pytest.fixture
def moved_page(quick_runs: dict[str, Path], tmp_path: Path, page_over: Callable[[Path], Any]) -> Any:
    """A run whose source has been deleted."""
    folder = tmp_path / "runs"
    shutil.copytree(quick_runs["binary"], folder / "binary")
    path = folder / "binary" / "data.json"
    data = json.loads(path.read_text())
    data["source"]["location"] = str(tmp_path / "gone.csv")
    path.write_text(json.dumps(data))
    return page_over(folder)


def test_without_its_source_a_run_opens_on_its_snapshots(moved_page: Any) -> None:
    time = moved_page.get("runs/binary/time")
    assert not time["exact"] and "gone.csv" in time["why"] and time["snapshots"]
    row = {"values": {"area": "120", "city": "Lyon", "age": "30"}, "truth": "yes"}
    step = middle_of(moved_page, "binary")
    found = moved_page.post("runs/binary/network", {"row": row, "step": step, "mode": "exact"})
    assert not found["at"]["exact"] and found["at"]["step"] in time["snapshots"] and "gone.csv" in found["at"]["why"]
    update = moved_page.post("runs/binary/update", {"row": row, "step": 0, "layer": "layer1", "neuron": 0})
    assert update["at"]["exact"] and update["loss_after"] != update["loss_before"]
    listed = moved_page.get("runs/binary/rows?part=test&count=3")["rows"]
    assert list(listed[0]["cells"]) == ["row"]
    assert "gone.csv" in moved_page.error("GET", "runs/binary/rows?part=train")
    assert "gone.csv" in moved_page.error(
        "POST", "runs/binary/update", {"row": row, "step": 0, "layer": "layer1", "neuron": 0, "batch": "real"}
    )
    assert moved_page.post("runs/binary/whatif", {"row": row})["columns"]
    untold = {**row, "truth": None}
    line = moved_page.error("POST", "runs/binary/update", {"row": untold, "step": 0, "layer": "layer1", "neuron": 0})
    assert "true answer" in line and "below the row's values" in line
    assert time["rows"] is False
    assert moved_page.post("runs/binary/boundary", {"row": row, "x": "area", "y": "age"})["points"] == []


def test_a_machine_that_rounds_otherwise_does_not_claim_to_be_exact(own_page: Any) -> None:
    snapshots = Store(own_page.context.runs / "binary").snapshots
    tensors, numbers = snapshots.load(PROOF)
    name = next(name for name in tensors if name.startswith("network.") and tensors[name].is_floating_point())
    tensors[name].view(-1)[0] = tensors[name].view(-1)[0].nextafter(torch.tensor(2.0))
    snapshots.add(PROOF, tensors, numbers)
    time = own_page.get("runs/binary/time")
    assert not time["exact"] and "rounds otherwise" in time["why"]
    found = asked(own_page, "binary", "network", step=middle_of(own_page, "binary"), mode="exact")
    assert not found["at"]["exact"] and "rounds otherwise" in found["at"]["why"]


def test_a_run_that_still_trains_is_open_as_far_as_it_has_come(own_page: Any) -> None:
    folder = own_page.context.runs / "binary"
    (folder / "DONE").unlink()
    assert asked(own_page, "binary", "network")["at"]["exact"]
    assert "unread" in own_page.error("POST", "runs/binary/network", {"row": {"part": "test", "index": 0}})
    (folder / "checkpoints" / "state.safetensors").unlink()  # it has just begun
    found = asked(own_page, "binary", "network")
    assert found["at"]["step"] == own_page.get("runs/binary/time")["snapshots"][-1]
    shutil.rmtree(folder / "snapshots")
    assert "no weights yet" in own_page.error("POST", "runs/binary/network", {"row": ROW})


def test_a_run_without_snapshots_shows_its_best_weights(own_page: Any) -> None:
    best = asked(own_page, "binary", "network")
    shutil.rmtree(own_page.context.runs / "binary" / "snapshots")
    found = asked(own_page, "binary", "network", step=3, mode="exact")
    assert not found["at"]["exact"] and "no snapshots" in found["at"]["why"]
    assert found["answer"] == best["answer"]
    assert "no snapshots" in own_page.error(
        "POST", "runs/binary/update", {"row": ROW, "layer": "layer1", "neuron": 0, "step": 3}
    )
