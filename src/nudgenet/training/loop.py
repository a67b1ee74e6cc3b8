"""THE loop: forward, loss, backward, update, repeat.

There is one training loop in nudgenet and this is it. It yields after every epoch; whoever watches,
records or draws stands outside, in the `for` that consumes it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nudgenet.data.augment import augmented
from nudgenet.data.batches import shuffled, subset, take
from nudgenet.records import Batch, Epoch, Part, Prepared
from nudgenet.scoring.metrics import score
from nudgenet.training.objectives import Objective
from nudgenet.training.optimizers import set_learning_rate
from nudgenet.training.place import rows_at_once
from nudgenet.training.state import Running, State, weights_of
from nudgenet.training.stopping import StopSignal

Step = Callable[[nn.Module, Batch, Objective, Optimizer, float | None], tuple[float, float]]
OnStep = Callable[[int, int, float, float], None]  # epoch (1 is the first), steps done in it, loss, gradient norm
CHECKPOINT_EVERY_S = 30.0


class NonFinite(ArithmeticError):
    """A loss or a gradient that is not a number: raised before the weights are touched."""


def step(
    network: nn.Module, batch: Batch, objective: Objective, optimizer: Optimizer, clip: float | None
) -> tuple[float, float]:
    """One nudge of every knob; gives the loss and the length of the gradient before clipping."""
    outputs = network(batch.inputs)  # forward
    loss = objective(outputs, batch)  # loss
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # backward
    norm = clip_gradients(optimizer, clip)
    check_finite(loss.item(), norm)
    optimizer.step()  # update
    return loss.item(), norm


def fit(
    state: State,
    data: Prepared,
    *,
    step: Step = step,
    on_step: OnStep | None = None,
    save: Callable[[State], None] | None = None,
    stop: StopSignal | None = None,
    time_limit: float | None = None,
) -> Iterator[Epoch]:
    """Train until the plan's last epoch, early stopping, a failure, the time limit or a stop signal.

    Changes `state` in place and yields an `Epoch` after each pass over `data.train`. Stops only at
    step boundaries; `state` then holds everything that a later call needs to go on bit-identically.
    `save` is called when a signal stops the loop, at its end, and about every 30 seconds.
    """
    plan, stop = state.plan, stop or StopSignal()
    train = training_sample(data, plan.seed)
    began = saved = time.perf_counter() - state.seconds
    while not state.is_over and not stop.reason:
        if state.epoch == plan.frozen_epochs > 0 and not state.cursor:  # from here on a pretrained trunk learns, too
            state.stopping.begin_again(plan.patience)
            for own in filter(None, (state.network, state.average)):
                own.load_state_dict(state.best_weights or own.state_dict())
        if state.epoch >= plan.frozen_epochs and "features" in data.train.inputs:
            data = without_features(data)
            train = training_sample(data, plan.seed)
        order = shuffled(len(data.train), plan.seed, state.epoch)
        state.network.train()
        while state.cursor < plan.steps_per_epoch and not (stop.reason or state.out_of_time):
            set_learning_rate(state.optimizer, plan.learning_rate_at(state.step, state.stopping.cuts))
            batch = take(data.train, order, state.cursor, plan.steps_per_epoch)
            batch = augmented(batch, plan.augment, plan.seed, state.step, plan.varied_at(state.step))
            try:
                loss, norm = step(state.network, batch, state.objective, state.optimizer, plan.clip)
            except NonFinite as problem:
                state.failure = explain_failure(str(problem), state, batch)
                break
            update_average(state)
            state.running.loss += loss
            state.running.gradient_norm += norm
            state.running.steps += 1
            state.cursor += 1
            state.seconds = time.perf_counter() - began
            if on_step is not None:
                on_step(state.epoch + 1, state.cursor, loss, norm)
            state.out_of_time = time_limit is not None and state.seconds > time_limit
            if save is not None and state.seconds + began - saved > CHECKPOINT_EVERY_S:
                save(state)
                saved = time.perf_counter()
        if state.cursor == plan.steps_per_epoch or (state.out_of_time and not state.best_weights):
            yield finish_epoch(state, train, data)
    if save is not None:
        save(state)


def finish_epoch(state: State, train: Part, data: Prepared) -> Epoch:
    """Judge the network on both parts, remember it if it is the best, and move on to the next epoch."""
    state.epoch, state.cursor = state.epoch + 1, 0
    running, state.running = state.running, Running()
    chunk = rows_at_once(data.shape.num_outputs)
    with torch.autocast("cpu", torch.bfloat16, enabled=state.plan.precision == "bfloat16"):
        train_losses, train_predictions = evaluate(state.kept, train, state.objective, chunk)
        losses, predictions = evaluate(state.kept, data.validation, state.objective, chunk)
    validation_loss = weighted_mean(losses, data.validation)
    if state.stopping.update(state.epoch, validation_loss):
        state.best_weights = weights_of(state.kept)
    return Epoch(
        epoch=state.epoch,
        step=state.step,
        train_loss=weighted_mean(train_losses, train),
        validation_loss=validation_loss,
        train_loss_se=standard_error(train_losses),
        validation_loss_se=standard_error(losses),
        learning_rate=state.optimizer.param_groups[0]["lr"],
        gradient_norm=running.gradient_norm / max(1, running.steps),
        seconds=state.seconds,
        train_metrics=scores(train_predictions, train, data),
        validation_metrics=scores(predictions, data.validation, data),
    )


def evaluate(network: nn.Module, part: Part, objective: Objective, chunk: int = 1_024) -> tuple[Tensor, Tensor]:
    """(loss of each row, prediction of each row) of a part, without dropout and without gradients, `chunk` rows at once."""
    was_training = network.training
    network.eval()
    losses, predictions = torch.empty(0), torch.empty(0)
    with torch.inference_mode():
        for begin in range(0, len(part), chunk):
            rows = slice(begin, begin + chunk)
            outputs = objective.unite(network({name: tensor[rows] for name, tensor in part.inputs.items()}))
            row_losses, answers = objective.row_losses(outputs, part.targets[rows]), objective.predict(outputs)
            if begin == 0:  # made at once: small results between large ones would keep memory from being given back
                losses = row_losses.new_empty(len(part), *row_losses.shape[1:])
                predictions = answers.new_empty(len(part), *answers.shape[1:])
            losses[rows], predictions[rows] = row_losses, answers
    network.train(was_training)
    return losses, predictions


def clip_gradients(optimizer: Optimizer, longest: float | None) -> float:
    """Shorten the gradient to at most `longest`, so that no batch throws the weights far; gives its length before.

    As `torch.nn.utils.clip_grad_norm_`, but it touches the gradients again only if they are too long.
    """
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))
    if longest is not None and norm > longest:
        torch._foreach_mul_(gradients, longest / (norm + 1e-6))
    return norm


def check_finite(loss: float, norm: float) -> None:
    """Raises NonFinite if the loss or any gradient is infinite or not a number."""
    if not math.isfinite(loss):
        raise NonFinite("the loss is not a finite number")
    if not math.isfinite(norm):
        raise NonFinite("a gradient is not a finite number")


def explain_failure(problem: str, state: State, batch: Batch) -> str:
    """What was not finite, in which step, and its likely cause."""
    if not all(bool(torch.isfinite(tensor).all()) for tensor in batch.inputs.values()):
        cause = "an input of this batch is infinite or not a number"
    elif not bool(torch.isfinite(batch.targets).all()):
        cause = "a target of this batch is infinite or not a number"
    else:
        rate = state.optimizer.param_groups[0]["lr"]
        cause = f"most likely the learning rate, {rate:.3g} in this step, is too high"
    return f"{problem} in step {state.step + 1} (epoch {state.epoch + 1}): {cause}"


def update_average(state: State) -> None:
    """Move the averaged weights a little towards the new ones (only if ema is on)."""
    if state.average is None:
        return
    # Early on the memory is shorter, or the average would remember the random start for long.
    memory = min(state.plan.ema, (1.0 + state.step) / (10.0 + state.step))
    # Running statistics belong to the weights that they were taken of: averaged alike, they fit the average.
    (averages, numbers), (copies, counts) = state.followers
    with torch.no_grad():
        torch._foreach_lerp_(averages, numbers, 1.0 - memory)
        if copies:
            torch._foreach_copy_(copies, counts)


def training_sample(data: Prepared, seed: int) -> Part:
    """As many training rows as there are validation rows, fixed for the run: the two losses are then
    measured with the same noise, and measuring the one costs no more than the other."""
    count = rows_judged(data)
    if count == len(data.train):
        return data.train
    generator = torch.Generator().manual_seed(seed)
    index = torch.randperm(len(data.train), generator=generator)[:count].sort().values
    return subset(data.train, index)


def rows_judged(data: Prepared) -> int:
    """How many training rows are judged after each epoch."""
    return min(len(data.train), max(len(data.validation), 256))


def scores(predictions: Tensor, part: Part, data: Prepared) -> dict[str, float]:
    """The task's metrics, in the user's units."""
    values, targets = in_user_units(predictions, data), in_user_units(part.targets, data)
    return score(data.task.kind, targets, values, None if part.weights is None else part.weights.cpu().numpy())


def in_user_units(values: Tensor, data: Prepared) -> np.ndarray:
    """Standardised numbers of a regression back in the unit of the target; classes as they are."""
    array = values.detach().cpu().numpy()
    if data.task.kind != "regression":
        return array
    return array.astype(np.float64) * data.target_scale + data.target_center


def without_features(data: Prepared) -> Prepared:
    """The data without what a trunk once said of its rows: it says other things now."""
    parts = (data.train, data.validation)
    train, validation = (
        replace(part, inputs={name: tensor for name, tensor in part.inputs.items() if name != "features"})
        for part in parts
    )
    return replace(data, train=train, validation=validation)


def weighted_mean(losses: Tensor, part: Part) -> float:
    """The mean loss over rows, in double precision."""
    losses = losses.double()
    if part.weights is None:
        return losses.mean().item()
    return ((losses * part.weights).sum() / part.weights.sum().clamp_min(1e-12)).item()


def standard_error(losses: Tensor) -> float:
    """How far the mean over these rows may lie from the mean over all rows of their kind."""
    return (losses.double().std() / math.sqrt(len(losses))).item() if len(losses) > 1 else 0.0
