"""Is a layer ill? Its numbers in, a plain line out, or nothing where all is well.

A threshold errs on the side of silence: a line that stands on every healthy run is soon read by nobody. Where a rule of
thumb has a source, it stands beside it; each was held against healthy trainings and ill ones (`benchmarks/LOG.md`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nudgenet.errors import counted

# CS231n ("Neural Networks Part 1"): with a learning rate that is too high, 40 % of a network can be dead. Healthy ones
# had up to 9 % that the sample did not wake, those with a rate too high 45 % or more.
MANY_DEAD = 0.25
# Glorot & Bengio (2010): a layer on the flat ends of its curve lets no gradient through. Healthy ones: up to 32 %.
MANY_SATURATED = 0.5
# CS231n ("Neural Networks Part 3"): a step should move the weights by about a thousandth of their size. Ensembles, whose
# rate decays from far higher, move by a hundredth, at most by 0.035; with a rate too high it was 0.05 to 0.16.
LARGE_STEP = 5e-2
SMALL_STEP = 1e-5  # healthy ones: 5e-5 at least
# While the learning rate rises and where it has decayed, steps are small on purpose.
FULL_RATE = 0.1  # of the largest learning rate
# Gradients of neighbouring layers differ by factors (Glorot & Bengio, 2010). Healthy: 0.15 to 6 times the outputs';
# 12 layers of sigmoids, which learned nothing: 1e-7.
VANISHED = 1e-4
EXPLODED = 1e4
# Of these, a batch moves only the rows that it holds, and texts beside other columns begin at nothing.
SPARSE = ("terms", "texts", "places", "embedding")
DEEP = ("layer", "stage", "block")


def find_ill(
    layers: Mapping[str, Mapping[str, Any]], *, learning_rate: float, rate_now: float | None = None
) -> dict[str, str]:
    """What is wrong with a network's layers, in one line for each that is ill; its gravest illness counts.

    Args:
        layers: by name, what `training.vitals` measured of each: neurons, dead, saturated, gradient_norm, update_ratio.
        learning_rate: of the run, at its largest.
        rate_now: in the step that was looked at; None: as large as it gets.
    """
    is_full = rate_now is None or rate_now >= FULL_RATE * learning_rate
    # Below a layer that is dead nothing arrives, and that is said there.
    is_blocked = any((layer.get("dead") or 0.0) >= MANY_DEAD for layer in layers.values())
    last = None if is_blocked else layers.get("output", {}).get("gradient_norm")
    found = {}
    for name, layer in layers.items():
        lines = [
            dead(layer.get("dead"), layer.get("neurons") or 0, learning_rate),
            saturated(layer.get("saturated"), learning_rate),
            large_step(layer.get("update_ratio"), learning_rate) if name not in SPARSE else None,
            strange_gradient(name, layer.get("gradient_norm"), last),
            small_step(layer.get("update_ratio"), learning_rate) if is_full and name not in SPARSE else None,
        ]
        if line := next((line for line in lines if line), None):
            found[name] = line
    return found


def dead(share: float | None, neurons: int, learning_rate: float) -> str | None:
    """Neurons that fire for no row get no gradient, so they stay dead."""
    if share is None or share < MANY_DEAD:
        return None
    num_dead = round(share * neurons)
    fire = "fires" if num_dead == 1 else "fire"
    return f"{num_dead:,} of {counted(neurons, 'neuron')} never {fire}. {_too_high(learning_rate)}"


def saturated(share: float | None, learning_rate: float) -> str | None:
    """Neurons that answer the same whatever they are asked learn hardly anything."""
    if share is None or share < MANY_SATURATED:
        return None
    return (
        f"{share:.0%} of what these neurons answer lies at the flat ends of their curve, where hardly any gradient "
        f"comes through. {_too_high(learning_rate)}, or --set normalisation=layer"
    )


def large_step(ratio: float | None, learning_rate: float) -> str | None:
    """Steps so large that they undo each other."""
    if ratio is None or ratio <= LARGE_STEP:
        return None
    return f"Each step moves these weights by {ratio:.2g} of their size; 0.00005 to 0.04 is usual. {_too_high(learning_rate)}"


def small_step(ratio: float | None, learning_rate: float) -> str | None:
    """Steps so small that the layer stands still."""
    if ratio is None or ratio >= SMALL_STEP:
        return None
    return (
        f"Each step moves these weights by only {ratio:.2g} of their size; 0.00005 to 0.04 is usual. Learning rate too low? "
        f"Try three times as much: --set learning_rate={_short(3 * learning_rate)}"
    )


def strange_gradient(name: str, norm: float | None, last: float | None) -> str | None:
    """Gradients that get lost, or grow out of all bounds, on their way back from the outputs."""
    if not name.startswith(DEEP) or norm is None or not last:
        return None
    if norm < VANISHED * last:
        lost = f"1/{last / norm:,.0f} of" if norm else "nothing beside"
        return (
            f"The gradient here is {lost} the outputs': it vanishes on its way back. Try fewer layers, or another kink"
        )
    if norm > EXPLODED * last:
        return (
            f"The gradient here is {norm / last:,.0f} times the outputs': it explodes on its way back. Try fewer layers"
        )
    return None


def _too_high(learning_rate: float) -> str:
    return f"Learning rate too high? Try a third: --set learning_rate={_short(learning_rate / 3)}"


def _short(rate: float) -> str:
    """Two digits, as one types them."""
    return f"{float(f'{rate:.2g}'):f}".rstrip("0").rstrip(".") if rate >= 1e-4 else f"{rate:.2g}"
