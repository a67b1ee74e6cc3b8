"""How a gradient becomes a nudge. `OPTIMIZERS` is the plug point: name -> builder."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from nudgenet.errors import SettingError, did_you_mean
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.training.muon import Muon
from nudgenet.training.plan import Plan

# Adam divides a gradient by its usual size, and this number keeps it from dividing by nothing. One far above the usual
# size leaves gradients in their proportions: knobs that few rows ask for then move little (benchmarks/LOG.md).
EPS, BY_GRADIENT_EPS = 1e-8, 2e-2
TRUNK_DECAY = 0.85  # of the learning rate, from one layer of a pretrained network to the one below it
ParamGroups = list[dict[str, Any]]


def sgd(groups: ParamGroups, plan: Plan) -> Optimizer:
    """Stochastic gradient descent with momentum."""
    return without_compiler(SGD)(groups, lr=plan.learning_rate, momentum=plan.momentum, fused=True)


def adam(groups: ParamGroups, plan: Plan) -> Optimizer:
    """Adam (Kingma & Ba, arXiv 1412.6980): a step size per knob from the recent size of its gradient."""
    return without_compiler(Adam, torch._fused_adam_)(groups, lr=plan.learning_rate, fused=True)


def adamw(groups: ParamGroups, plan: Plan) -> Optimizer:
    """AdamW (Loshchilov & Hutter, arXiv 1711.05101): Adam with the decay taken out of the gradient."""
    return without_compiler(AdamW, torch._fused_adamw_)(groups, lr=plan.learning_rate, fused=True)


def muon(groups: ParamGroups, plan: Plan) -> Optimizer:
    """Muon for convolutions, AdamW for the rest; see `training.muon`."""
    return without_compiler(Muon)(groups, lr=plan.learning_rate)


def without_compiler(kind: type[Optimizer], update: Callable[..., None] | None = None) -> Callable[..., Optimizer]:
    """The same optimizer without its guards against torch's compiler: these import it, which takes a second.

    update: the fused update of Adam's kind, to be called without the library's preparations for each step.
    """
    guarded = ("add_param_group", "zero_grad", "state_dict", "load_state_dict", "step")
    plain = {name: inspect.unwrap(getattr(kind, name)) for name in guarded}
    plain["step"] = torch.no_grad()(plain["step"])  # as the guard around `step` does
    if update is not None:
        plain["step"] = lean_step(update, plain["step"])
    return type(kind.__name__, (kind,), plain)


def lean_step(update: Callable[..., None], usual: Callable[[Optimizer], Any]) -> Callable[[Optimizer], None]:
    """A step by one fused call for each group of knobs: the same numbers as `usual`, which does more around it.

    On small networks the library's sorting of tensors by device and type, hooks and checks take as long as the
    arithmetic. `usual` makes the first step, which sets the running averages up.
    """

    @torch.no_grad()
    def step(self: Optimizer) -> None:
        groups = [(group, [p for p in group["params"] if p.grad is not None]) for group in self.param_groups]
        if not all(p in self.state for _, moved in groups for p in moved):
            usual(self)
            return
        for group, moved in groups:
            averages, squares, steps = (
                [self.state[p][name] for p in moved] for name in ("exp_avg", "exp_avg_sq", "step")
            )
            if not moved:
                continue
            torch._foreach_add_(steps, 1)
            beta1, beta2 = group["betas"]
            update(
                moved, [p.grad for p in moved], averages, squares, [], steps, amsgrad=False, lr=group["lr"],
                beta1=beta1, beta2=beta2, weight_decay=group["weight_decay"], eps=group["eps"], maximize=False,
                grad_scale=None, found_inf=None,
            )  # fmt: skip

    return step


OPTIMIZERS: dict[str, Callable[[ParamGroups, Plan], Optimizer]] = {
    "sgd": sgd,
    "adam": adam,
    "adamw": adamw,
    "muon": muon,
}


def make_optimizer(network: nn.Module, plan: Plan) -> Optimizer:
    """The optimizer of a network; biases and normalisation scales are not decayed.

    Decay keeps sums of many inputs from growing; a bias or a scale is one number per neuron, and
    pulling it to zero only shifts the neuron. The layers of a pretrained trunk learn the slower, the deeper they lie; what a
    network names in `by_gradient` moves in proportion to its gradients.
    """
    if plan.optimizer not in OPTIMIZERS:
        raise SettingError(f"There is no optimizer `{plan.optimizer}`", fix=did_you_mean(plan.optimizer, OPTIMIZERS))
    # By depth in the trunk (-1: fresh), whether they are not decayed, and whether they move by their gradients.
    groups: dict[tuple[int, bool, bool], list[nn.Parameter]] = {}
    by_gradient = getattr(network, "by_gradient", ())
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:  # the trunk's own weights, where only what stands beside them is trained
            continue
        depth = network.depth_of(name) if isinstance(network, PretrainedNetwork) else None
        is_decayed = parameter.ndim >= 2 and "bias" not in name
        kind = (-1 if depth is None else depth, not is_decayed, name in by_gradient)
        groups.setdefault(kind, []).append(parameter)
    return OPTIMIZERS[plan.optimizer](
        [
            {
                "params": parameters,
                "weight_decay": 0.0 if is_spared else plan.weight_decay,
                "factor": 1.0 if depth < 0 else plan.trunk_rate * TRUNK_DECAY**depth,
                "eps": BY_GRADIENT_EPS if is_by_gradient else EPS,
            }
            for (depth, is_spared, is_by_gradient), parameters in sorted(groups.items(), key=lambda group: group[0])
        ],
        plan,
    )


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """The size of the next nudge, of each group by its factor."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["factor"]
