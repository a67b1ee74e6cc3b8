"""One real update, opened: the loss, the way back to a neuron, and the nudge that its weights got.

On a person's own row it is a hypothetical batch of that one row: the real step, with the real optimizer and its memory, on
a copy, but for dropout. Or it is the batch that the training really took there, by the loop itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from nudgenet.errors import RunError
from nudgenet.networks import rebuild
from nudgenet.networks.anatomy import num_members, trained_alike, watch
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.networks.watched import Knobs, Layer
from nudgenet.page.answers import answers, truth_of
from nudgenet.page.context import BadRequest
from nudgenet.page.neurons import View, neuron_as_json, neuron_of, terms_of, view
from nudgenet.page.opened import At, Mode, Moment, OpenedRun, own
from nudgenet.page.rows import Row, at_of
from nudgenet.records import Batch
from nudgenet.training.loop import NonFinite
from nudgenet.training.loop import step as textbook_step
from nudgenet.training.optimizers import set_learning_rate
from nudgenet.training.place import working_at
from nudgenet.training.plan import make_plan
from nudgenet.training.replay import one_step
from nudgenet.training.state import State, part_of, start, unpack
from nudgenet.watching.xray import Nudge, Rule, kink_slope, python_of_update

EXACT: Mode = "exact"
MOMENTS = {
    "sgd": ("momentum_buffer", None), "adam": ("exp_avg", "exp_avg_sq"), "adamw": ("exp_avg", "exp_avg_sq"),
    "muon": ("momentum_buffer", None),
}  # fmt: skip


@dataclass(frozen=True)
class Entries:
    """Some entries of a parameter, and what the optimizer remembers of them, at one moment."""

    values: Tensor
    first: Tensor | None
    second: Tensor | None

    @classmethod
    def of(cls, state: State, knobs: Knobs) -> Entries:
        """As they are now: copies."""
        parameter = dict(state.network.named_parameters())[knobs.parameter]
        memory = state.optimizer.state.get(parameter, {})

        def remembered(name: str | None) -> Tensor | None:
            found = None if name is None else memory.get(name)
            return None if found is None else knobs.of(found).clone()

        first, second = MOMENTS[optimizer_of(state, memory)]
        return cls(knobs.of(parameter).clone(), remembered(first), remembered(second))

    def moments(self, place: int) -> tuple[float | None, float | None]:
        """What is remembered of one entry."""
        first, second = (None if one is None else float(one[place]) for one in (self.first, self.second))
        return first, second


def open_update(
    opened: OpenedRun, step: int | None, mode: Mode, row: Row, member: int, layer: Any, neuron: Any, batch: str
) -> dict[str, Any]:
    """The next update after a step, seen from one neuron; for the arguments see `open_updates`."""
    return open_updates(opened, step, mode, row, member, [(layer, neuron)], batch)[0]


def open_updates(
    opened: OpenedRun,
    step: int | None,
    mode: Mode,
    row: Row,
    member: int,
    wanted: Sequence[tuple[Any, Any]],
    batch: str,
) -> list[dict[str, Any]]:
    """The next update after a step, done once and seen from several neurons, each by its layer and number.

    Args:
        batch: "row", a batch of this row alone, or "real", the batch that the training took.

    Raises:
        BadRequest: no such layer or neuron, or the row's true answer is not known.
        RunError: the run kept no snapshots, or (for "real") its rows are gone.
    """
    if batch not in ("row", "real"):
        raise BadRequest("The batch is `row` or `real`", got=str(batch))
    with working_at(opened.place):
        state, at = training_at(opened, step, mode)
        plain = trained_alike(rebuild(opened.shape, opened.run.settings, state.network.state_dict()))
        before = view(opened, Moment(plain, at), row, member)
        chosen = [neuron_of(before, *one) for one in wanted]
        kept = [entries_of(state, *one) for one in chosen]
        # The optimizer counts its updates where it keeps its memory; unpacked again, the random state is the step's.
        with raw_gradients(state.network, {name for one in kept for name in one}) as raw:
            done = one_row(state, row, member, opened) if batch == "row" else real(state, opened)
        after = [entries_of(state, *one) for one in chosen]
    said = said_of(opened, before)
    return [
        as_json(before, *one, state, at, raw, old, new, done) | {"said": said}
        for one, old, new in zip(chosen, kept, after, strict=True)
    ]


def said_of(opened: OpenedRun, found: View) -> dict[str, Any]:
    """What the network that is trained answers on the row before the update, beside the truth.

    value: the number of a regression; own, together: what this member, and the ensemble, give the true class; else None.
    """
    answer, target = answers(opened, found.outputs)[0], found.row.target
    said = {"truth": truth_of(opened, target), "members": num_members(found.outputs)}
    if opened.run.task.kind == "regression":
        return said | {"value": float(answer), "own": None, "together": None}
    if target is None:
        return said | {"value": None, "own": None, "together": None}
    truth, own = int(target[0]), found.layers[-1].fired.value[0].double().softmax(dim=0)
    return said | {"value": None, "own": float(own[truth]), "together": float(answer[truth])}


def entries_of(state: State, layer: Layer, neuron: int) -> dict[str, Entries]:
    """The neuron's own entries, as they are now, by their parameter."""
    knobs = (layer.weights(neuron), layer.bias(neuron))
    return {one.parameter: Entries.of(state, one) for one in knobs if one is not None}


def training_at(opened: OpenedRun, step: int | None, mode: Mode) -> tuple[State, At]:
    """The training at a step (None: that of the best weights): a state of its own, to be changed at will.

    It is built from the snapshot alone, so it does not need the rows. After the last update there is no next one: then
    it is the training before the last.
    """
    wanted, how = (step, mode) if step is not None else (opened.best_step(), EXACT)
    state, at = state_at(opened, wanted, how)
    if state.is_over and at.step > 0:
        state, at = state_at(opened, at.step - 1, "exact")
        at = replace(at, why=f"before the last update: {at.why}")
    return state, at


def state_at(opened: OpenedRun, step: int, mode: Mode) -> tuple[State, At]:
    """The whole state of the training at one step, on networks of its own."""
    snapshot, at = opened.snapshot(step, mode)
    tensors, numbers = own(snapshot)
    settings = opened.run.settings
    network = rebuild(opened.shape, settings, part_of(tensors, "network."))
    state = start(network, opened.objective, make_plan(settings, opened.shape)[0])
    unpack(state, tensors, numbers)
    if state.epoch == state.plan.frozen_epochs > 0 and not state.cursor and state.best_weights:
        for own_network in filter(None, (state.network, state.average)):  # as the loop does before a trunk's first step
            own_network.load_state_dict(state.best_weights)
    return state, at


@dataclass(frozen=True)
class Done:
    """An update that was done. The view of the row while it was (None for a real batch); losses without dropout."""

    loss: float
    norm: float
    loss_before: float
    loss_after: float
    seen: View | None = None


def one_row(state: State, row: Row, member: int, opened: OpenedRun) -> Done:
    """The update that this row alone would bring: the loop's own step."""
    batch, plan = row.batch, state.plan
    network = trained_alike(state.network)
    if isinstance(network, PretrainedNetwork) and state.epoch < plan.frozen_epochs:
        with torch.no_grad():  # so far the trunk stays as it is
            features = network.read(batch.inputs)
        batch = replace(batch, inputs={**batch.inputs, "features": features})
    set_learning_rate(state.optimizer, plan.learning_rate_at(state.step, state.stopping.cuts))
    try:
        with watch(network) as seen:
            loss, norm = textbook_step(network, batch, state.objective, state.optimizer, plan.clip)
    except NonFinite as error:
        raise RunError("This row gives no update", got=str(error)) from None
    found = View.after(opened, network, seen, seen.given(network), row, member)
    return Done(loss, norm, loss, loss_of(network, state, batch), found)


def real(state: State, opened: OpenedRun) -> Done:
    """The update that the training did, on its own batch."""
    batches: list[Batch] = []
    before: list[float] = []

    def look(batch: Batch) -> None:
        batches.append(batch)
        before.append(loss_of(state.network, state, batch))

    loss, norm = one_step(state, opened.origin()[0].prepared, look)
    return Done(loss, norm, before[0], loss_of(state.network, state, batches[0]))


def loss_of(network: nn.Module, state: State, batch: Batch) -> float:
    """What training makes smaller, for a batch, without dropout."""
    was_training = network.training
    network.eval()
    with torch.no_grad():
        loss = float(state.objective(network(batch.inputs), batch))
    network.train(was_training)
    return loss


@contextmanager
def raw_gradients(network: nn.Module, names: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """The gradients of some parameters as backward leaves them, before they are clipped."""
    found: dict[str, Tensor] = {}

    def note(name: str) -> Any:
        def hook(parameter: Tensor) -> None:
            assert parameter.grad is not None
            found[name] = parameter.grad.detach().clone()

        return hook

    parameters = dict(network.named_parameters())
    handles = [
        parameters[name].register_post_accumulate_grad_hook(note(name))  # type: ignore[no-untyped-call]
        for name in names
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


# --- as JSON --------------------------------------------------------------------------------------


def as_json(
    view: View,
    layer: Layer,
    neuron: int,
    state: State,
    at: At,
    raw: dict[str, Tensor],
    before: dict[str, Entries],
    after: dict[str, Entries],
    done: Done,
) -> dict[str, Any]:
    """See `open_update`, which adds what `said_of` finds.

    averaged: a running average of the weights that are trained is what answers, so `forward`, the neuron in the network
        that is trained, is not quite the one that `open_neuron` shows.
    """
    knobs, bias = layer.weights(neuron), layer.bias(neuron)
    order = view.sum_of(layer, neuron).order.tolist()
    names = [term["name"] for term in terms_of(view, layer, neuron, view.sum_of(layer, neuron))]
    clip = state.plan.clip
    scale = clip / (done.norm + 1e-6) if clip is not None and done.norm > clip else 1.0
    backward = backward_as_json(view, layer, neuron, order, names, raw, done)
    group = next(
        group
        for group in state.optimizer.param_groups
        if any(parameter is dict(state.network.named_parameters())[knobs.parameter] for parameter in group["params"])
    )
    rule = rule_of(state, group, knobs, at.step + 1)
    nudges = [nudge_of(state, knobs, before, after, place) for place in order]
    title = f"{layer.name} [{neuron}], the update after step {at.step}"
    return {
        "at": at_of(at),
        "layer": layer.name,
        "neuron": neuron,
        "batch": "row" if done.seen is not None else "real",
        "averaged": state.average is not None,
        "forward": neuron_as_json(view, layer, neuron, title),
        "loss": done.loss,
        "backward": backward,
        "update": {
            "optimizer": rule.optimizer,
            "learning_rate": rule.learning_rate,
            "weight_decay": rule.weight_decay,
            "momentum": rule.momentum,
            "betas": list(rule.betas),
            "eps": rule.eps,
            "number": rule.number,
            "gradient_norm": done.norm,
            "clip": clip,
            "clip_scale": scale,
            "terms": [{"name": name, **nudge_as_json(nudge)} for name, nudge in zip(names, nudges, strict=False)],
            "bias": None if bias is None else nudge_as_json(nudge_of(state, bias, before, after, 0)),
        },
        "loss_before": done.loss_before,
        "loss_after": done.loss_after,
        "python": python_of_update(title, names[0], rule, nudges[0]) if nudges else "",
    }


def backward_as_json(
    view: View, layer: Layer, neuron: int, order: list[int], names: list[str], raw: dict[str, Tensor], done: Done
) -> dict[str, Any]:
    """How the loss pulls at the neuron, and at each of its weights.

    Weights that others use, too, are pulled by all of them: `share` is this neuron's part of the whole `gradient`.
    """
    knobs, bias = layer.weights(neuron), layer.bias(neuron)
    gradients = knobs.of(raw[knobs.parameter]) if knobs.parameter in raw else None
    of_bias = None if bias is None or bias.parameter not in raw else float(bias.of(raw[bias.parameter])[0])
    inputs = layer.inputs(neuron)
    found: dict[str, Any] = dict.fromkeys(("dL_dfired", "kink_slope", "dL_dbefore_kink", "dL_dsum"))
    if done.seen is not None:
        live = done.seen.layer(layer.name)
        for key, signal in (("dL_dfired", live.fired), ("dL_dbefore_kink", live.before_kink), ("dL_dsum", live.sums)):
            slopes = signal.gradient()
            found[key] = None if slopes is None else float(slopes[0, neuron])
        found["kink_slope"] = kink_slope(layer.kink, float(layer.before_kink.value[0, neuron]))
    pull = found["dL_dsum"]
    shares = None if pull is None else (torch.tensor(pull) * inputs).tolist()  # float32, as PyTorch multiplies
    return {
        **found,
        "shared_with_other_members": layer.shared == "members",
        "shared_with_other_places": layer.shared == "places",
        "terms": [
            {
                "name": name,
                "input": None if done.seen is None else float(inputs[place]),
                "gradient": None if gradients is None else float(gradients[place]),
                "share": None if shares is None else shares[place],
            }
            for name, place in zip(names, order, strict=False)
        ],
        "bias_gradient": of_bias,
        "bias_share": pull,
    }


def rule_of(state: State, group: dict[str, Any], knobs: Knobs, number: int) -> Rule:
    """How the optimizer moved these weights, in the update of this number if it does not count those of each itself."""
    parameter = dict(state.network.named_parameters())[knobs.parameter]
    memory = state.optimizer.state.get(parameter, {})
    return Rule(
        optimizer=optimizer_of(state, memory),
        learning_rate=float(group["lr"]),
        weight_decay=float(group["weight_decay"]),
        number=int(memory["step"]) if "step" in memory else number,
        momentum=float(group.get("momentum", 0.0)),
        betas=tuple(group.get("betas", (0.9, 0.999))),
        eps=float(group.get("eps", 1e-8)),
    )


def optimizer_of(state: State, memory: Mapping[str, Any]) -> str:
    """What moves a parameter, by what is remembered of it: Muon leaves all but convolutions to AdamW."""
    return "adamw" if state.plan.optimizer == "muon" and "exp_avg" in memory else state.plan.optimizer


def nudge_of(state: State, knobs: Knobs, before: dict[str, Entries], after: dict[str, Entries], place: int) -> Nudge:
    """What happened to one entry."""
    old, new = before[knobs.parameter], after[knobs.parameter]
    gradient = dict(state.network.named_parameters())[knobs.parameter].grad
    return Nudge(
        before=float(old.values[place]),
        gradient=0.0 if gradient is None else float(knobs.of(gradient)[place]),
        moments_before=old.moments(place),
        moments=new.moments(place),
        after=float(new.values[place]),
    )


def nudge_as_json(nudge: Nudge) -> dict[str, Any]:
    """One weight: before, its (clipped) gradient, the optimizer's memory after and before, the nudge, after."""
    (first_before, second_before), (first, second) = nudge.moments_before, nudge.moments
    return {
        "before": nudge.before,
        "gradient": nudge.gradient,
        "first_moment": first,
        "second_moment": second,
        "first_moment_before": first_before,
        "second_moment_before": second_before,
        "step": nudge.step,
        "after": nudge.after,
    }
