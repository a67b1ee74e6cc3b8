"""Every number of an update is PyTorch's, for each family of networks: by torch's own optimizer on autograd's gradients.

Muon is our own: it is compared with a new one that knows one layer alone.
"""

from __future__ import annotations

import contextlib
import copy
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nudgenet
from nudgenet.networks import rebuild
from nudgenet.networks.bag import READ
from nudgenet.networks.convnet import ConvNet
from nudgenet.page.opened import OpenedRun, OpenedRuns
from nudgenet.page.updates import training_at
from nudgenet.records import Batch
from nudgenet.runs.store import Store
from nudgenet.training.muon import Muon
from nudgenet.training.place import working_at
from nudgenet.training.plan import make_plan
from nudgenet.training.replay import one_step
from nudgenet.training.state import part_of

ROW = {"part": "validation", "index": 2}
STEP = 2  # has a snapshot, and the optimizer remembers something
Sums = Callable[[Any, dict[str, Tensor]], Tensor]  # the network and its inputs -> what the layer's neurons sum up


@dataclass(frozen=True)
class Case:
    """A neuron of a run: its layer, the parameter and the entries that are its own, and its sums computed plainly."""

    run: str
    layer: str
    neuron: int
    parameter: str
    index: tuple[Any, ...]
    sums: Sums

    def __str__(self) -> str:
        return f"{self.run}-{self.layer}"


def hooked(module: Callable[[Any], nn.Module]) -> Sums:
    """What a module gives while the network answers."""

    def found(network: Any, inputs: dict[str, Tensor]) -> Tensor:
        seen: list[Tensor] = []
        handle = module(network).register_forward_hook(lambda _module, _taken, given: seen.append(given))
        with torch.no_grad():
            network(inputs)
        handle.remove()
        return seen[0][0]

    return found


def dense(number: int) -> Sums:
    """Of a plain perceptron: what a layer takes in, times its weights, plus its biases."""

    def found(network: Any, inputs: dict[str, Tensor]) -> Tensor:
        seen: list[Tensor] = []
        layer = network.layers[number]
        handle = layer.register_forward_pre_hook(lambda _module, taken: seen.append(taken[0]))
        with torch.no_grad():
            network(inputs)
            handle.remove()
            return nn.functional.linear(seen[0], layer.sum.weight, layer.sum.bias)[0]

    return found


def words(network: Any, inputs: dict[str, Tensor]) -> Tensor:
    """Of a bag: each word's row of the table, as often as it is there."""
    with torch.no_grad():
        rows = network.terms[inputs["tokens"][0].long()] * inputs["token_weights"][0][:, None]
        return rows.sum(dim=0)  # type: ignore[no-any-return]


ALL = slice(None)
CASES = (
    Case("mlp", "layer1", 3, "layers.0.sum.weight", (3,), dense(0)),
    Case("mlp", "output", 0, "output.weight", (0,), hooked(lambda n: n.output)),
    Case("mlp-adam", "layer2", 1, "layers.1.sum.weight", (1,), dense(1)),
    Case("mlp-sgd", "layer2", 1, "layers.1.sum.weight", (1,), dense(1)),
    Case("bag", "words", 0, "terms", (ALL, 0), lambda n, inputs: words(n, inputs)[:READ]),
    Case("bag", "straight", 1, "terms", (ALL, READ + 1), lambda n, inputs: words(n, inputs)[READ:]),
    Case("bag", "output", 1, "rest.output_weight", (0, 0, ALL, 1), lambda n, inputs: n(inputs)[0, 0].detach()),
    Case("transformer", "block1", 5, "blocks.0.thought.weight", (5,), hooked(lambda n: n.blocks[0].thought)),
    Case("transformer", "block1.told", 1, "blocks.0.thought_out.weight", (1,), hooked(lambda n: n.blocks[0].thought_out)),
    Case("transformer", "beside", 0, "beside.weight", (0,), hooked(lambda n: n.beside)),
    Case("transformer", "output", 1, "output.weight", (1,), hooked(lambda n: n.output)),
    Case("convnet-adamw", "stem", 1, "stem.weight", (1,), hooked(lambda n: n.stem)),
    Case("convnet-adamw", "stage1.second", 2, "stages.0.4.second.weight", (2,), hooked(lambda n: n.stages[0][4].second)),
    Case("convnet-adamw", "output", 0, "output.weight", (0,), hooked(lambda n: n.output)),
    Case("convnet", "stem", 1, "stem.weight", (1,), hooked(lambda n: n.stem)),
    Case("convnet", "stage1.second", 2, "stages.0.4.second.weight", (2,), hooked(lambda n: n.stages[0][4].second)),
    Case("convnet", "output", 0, "output.weight", (0,), hooked(lambda n: n.output)),
    Case("sound", "straight", 1, "direct.weight", (1,), hooked(lambda n: n.direct)),
    Case("text", "output", 1, "direct.weight", (1,), hooked(lambda n: n.direct)),
)  # fmt: skip
REAL = [case for case in CASES if case.run in ("mlp", "mlp-sgd", "convnet-adamw", "convnet")]
OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}


@pytest.fixture(scope="module")
def family_page(
    runs_on_media: Path,
    pretrained_runs: Path,
    tmp_path_factory: pytest.TempPathFactory,
    page_over: Callable[[Path], Any],
) -> Any:
    """A page over a run of every family."""
    folder = tmp_path_factory.mktemp("families") / "runs"
    shutil.copytree(runs_on_media, folder)
    for name in ("sound", "text"):
        shutil.copytree(pretrained_runs / name, folder / name)
    quick = {"runs": folder, "epochs": 2, "batch_size": 16, "baselines": False, "width": 6, "layers": 2}
    table = {"a": np.arange(90.0) % 7, "b": np.arange(90.0) % 5, "sum": np.arange(90.0) % 7 + np.arange(90.0) % 5}
    for name, optimizer in (("mlp", "adamw"), ("mlp-adam", "adam"), ("mlp-sgd", "sgd")):
        given = {"network": "mlp", "optimizer": optimizer, "weight_decay": 0.3, "kinds": {"a": "number", "b": "number"}}
        nudgenet.train(table, "sum", task="regression", name=name, **quick, **given)
    pixels = np.random.default_rng(0).integers(0, 200, (60, 12, 12, 3), dtype=np.uint8)
    quick = {"runs": folder, "epochs": 1, "batch_size": 16, "baselines": False, "width": 4}
    nudgenet.train((pixels, np.arange(60) % 2), name="convnet-adamw", optimizer="adamw", **quick)
    return page_over(folder)


@dataclass
class Plainly:
    """The next step after a snapshot, on some rows: plain autograd, and a new optimizer of torch's own."""

    network: Any
    inputs: dict[str, Tensor]
    loss: float
    norm: float
    raw: dict[str, Tensor | None]
    clipped: float
    state: dict[str, Tensor]
    plan: Any


def plainly(store: Store, step: int) -> Plainly:
    """On one row."""
    opened = OpenedRuns()
    shape = opened.ask(store, lambda run: run.shape)
    table, _ = opened.ask(store, lambda run: run.origin())
    objective = opened.ask(store, lambda run: run.objective)
    settings = nudgenet.load(store.path).settings
    tensors, _ = store.snapshots.load(step)
    network = rebuild(shape, settings, part_of(tensors, "network."))
    if isinstance(network, ConvNet):
        network.mirrored = False
    part = table.prepared.validation
    batch = Batch({name: tensor[2:3] for name, tensor in part.inputs.items()}, part.targets[2:3])
    plan = make_plan(settings, shape)[0]
    frozen = step < plan.frozen_epochs * plan.steps_per_epoch
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not (frozen and name.startswith("trunk.")))
    return on_batch(network, batch, objective, tensors, plan)


def really(store: Store, step: int) -> Plainly:
    """On the batch that the training took, while the random numbers are those of its step."""
    opened = OpenedRuns()

    def work(run: OpenedRun) -> Plainly:
        with working_at(run.place):
            state, _ = training_at(run, step, "exact")
            (held, _), _ = run.snapshot(step, "exact")
            tensors = {name: tensor.clone() for name, tensor in held.items()}
            found: list[Plainly] = []

            def look(batch: Batch) -> None:
                found.append(on_batch(copy.deepcopy(state.network), batch, state.objective, tensors, state.plan))

            one_step(state, run.origin()[0].prepared, look)
        return found[0]

    return opened.ask(store, work)


def on_batch(network: Any, batch: Batch, objective: Any, tensors: dict[str, Tensor], plan: Any) -> Plainly:
    loss = objective(network(batch.inputs), batch)
    learning = {name: p for name, p in network.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(loss, list(learning.values()), allow_unused=True)
    raw = dict(zip(learning, found, strict=True))
    norm = float(torch.stack([g.double().pow(2).sum() for g in found if g is not None]).sum().sqrt())
    scale = min(1.0, plan.clip / (norm + 1e-6)) if plan.clip is not None else 1.0
    return Plainly(network, dict(batch.inputs), loss.item(), norm, raw, scale, tensors, plan)


def stepped(plain: Plainly, name: str, step: int, order: list[str]) -> dict[str, Tensor]:
    """One parameter before and after the step, its clipped gradient, and what the optimizer remembers of it then."""
    parameter = nn.Parameter(dict(plain.network.named_parameters())[name].detach().clone())
    before, gradient = parameter.detach().clone(), plain.raw[name]
    assert gradient is not None
    parameter.grad = gradient * plain.clipped
    plan, rate = plain.plan, plain.plan.learning_rate_at(step)
    optimizer: torch.optim.Optimizer
    if plan.optimizer == "muon":
        optimizer = Muon([{"params": [parameter], "weight_decay": plan.weight_decay}], lr=rate)
    else:
        more = {"momentum": plan.momentum} if plan.optimizer == "sgd" else {}
        given = {"lr": rate, "weight_decay": plan.weight_decay, "foreach": False, **more}
        optimizer = OPTIMIZERS[plan.optimizer]([parameter], **given)
    memory = part_of(plain.state, f"optimizer.{order.index(name)}.")
    if memory:
        optimizer.state[parameter] = {key: tensor.clone() for key, tensor in memory.items()}
    with torch.no_grad():
        optimizer.step()
    kept = optimizer.state[parameter]
    first = kept["momentum_buffer"] if "momentum_buffer" in kept else kept["exp_avg"]
    found = {"before": before, "after": parameter.detach(), "gradient": gradient * plain.clipped, "first_moment": first}
    return found | ({"second_moment": kept["exp_avg_sq"]} if "exp_avg_sq" in kept else {})


def order_of(network: nn.Module, optimizer: str) -> list[str]:
    """The parameters as the optimizer counts them: those that are decayed first, a trunk's by depth behind the fresh ones.

    Muon counts convolutions before the rest.
    """
    depth = getattr(network, "depth_of", lambda name: None)
    named = [
        (name, (p.ndim < 2 or "bias" in name, optimizer == "muon" and p.ndim != 4))
        for name, p in network.named_parameters()
    ]
    ranked = [(-1 if depth(name) is None else depth(name), spared, at) for at, (name, spared) in enumerate(named)]
    return [named[at][0] for _, _, at in sorted(ranked)]


def printed(python: str) -> dict[str, float]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(python, "<copied>", "exec"), {})
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in said.getvalue().splitlines()}


def alike(one: float, other: float) -> bool:
    return one == pytest.approx(other, rel=2e-5, abs=1e-7)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_update_is_torchs(family_page: Any, case: Case) -> None:
    store = Store(family_page.context.runs / case.run)
    step = STEP if STEP in store.snapshots.steps() else 0
    plain = plainly(store, step)
    where = {"row": ROW, "layer": case.layer, "neuron": case.neuron, "step": step}
    found = family_page.post(f"runs/{case.run}/update", where)
    assert found["at"]["step"] == step and found["at"]["exact"]

    forward = found["forward"]
    sums = case.sums(plain.network, plain.inputs)
    place = forward["place"]
    if place is None:
        total = sums[case.neuron]
    else:
        total = sums[case.neuron, place[0], place[1]] if sums.ndim == 3 else sums[place[1], case.neuron]
    assert forward["sum"] == pytest.approx(float(total), rel=1e-5, abs=1e-6)
    said = printed(forward["python"])
    assert alike(said["sum"], forward["sum"]) and alike(said["fired"], forward["fired"])

    assert_is_the_step(found, plain, case, step)
    for term, back in zip(found["update"]["terms"], found["backward"]["terms"], strict=True):
        assert term["step"] == term["after"] - term["before"]
        if back["share"] is not None and not found["backward"]["shared_with_other_places"]:
            pull = found["backward"]["dL_dsum"]
            assert alike(back["share"], pull * back["input"])
            if not found["backward"]["shared_with_other_members"] and case.layer not in ("words", "straight"):
                assert back["share"] == pytest.approx(back["gradient"], rel=1e-4, abs=1e-7)
    assert alike(printed(found["python"])["after"], found["update"]["terms"][0]["after"])


@pytest.mark.parametrize("case", REAL, ids=str)
def test_an_update_by_the_trainings_own_batch_is_torchs(family_page: Any, case: Case) -> None:
    where = {"row": ROW, "layer": case.layer, "neuron": case.neuron, "step": STEP, "mode": "exact", "batch": "real"}
    found = family_page.post(f"runs/{case.run}/update", where)
    assert found["batch"] == "real" and found["at"]["step"] == STEP and found["at"]["exact"]
    assert_is_the_step(found, really(Store(family_page.context.runs / case.run), STEP), case, STEP)


def assert_is_the_step(found: dict[str, Any], plain: Plainly, case: Case, step: int) -> None:
    """Loss, gradients, what the optimizer remembers and the weights, before and after."""
    assert found["update"]["number"] == step + 1
    assert found["loss"] == pytest.approx(plain.loss, rel=1e-5)
    assert found["update"]["gradient_norm"] == pytest.approx(plain.norm, rel=1e-4)
    moved = stepped(plain, case.parameter, step, order_of(plain.network, plain.plan.optimizer))
    raw = plain.raw[case.parameter]
    assert raw is not None
    entries = {key: tensor[case.index].flatten().tolist() for key, tensor in moved.items()}
    own = list(zip(*entries.values(), raw[case.index].flatten().tolist(), strict=True))
    assert found["update"]["terms"]
    for term, back in zip(found["update"]["terms"], found["backward"]["terms"], strict=True):
        shown = [term[key] for key in entries] + [back["gradient"]]
        assert any(all(map(alike, shown, mine)) for mine in own), (term, back)
    assert found["update"]["weight_decay"] == plain.plan.weight_decay
