"""What runs through a network while it answers: layers of neurons, each a weighted sum plus a bias with a kink.

Nothing is computed a second time: `Watch` looks over the network's shoulder, and `anatomy` says what each number was. So a sum is the sum that PyTorch computed, and a weight is the very entry of the parameter that the
optimizer moves, which several members of an ensemble, or all places of a picture, may share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Literal

import torch
from torch import Tensor, nn

Shared = Literal["", "members", "places"]
OriginKind = Literal["number", "piece", "category", "words", "features"]


@dataclass(frozen=True)
class Knobs:
    """Some entries of a parameter, by its name in the network: `parameter[index]`, flattened."""

    parameter: str
    index: tuple[Any, ...]  # of ints, slices and index tensors

    def of(self, tensor: Tensor) -> Tensor:
        """These entries of the parameter, of its gradient or of what its optimizer remembers: (entries,)."""
        return tensor.detach()[self.index].flatten()


@dataclass(frozen=True)
class Signal:
    """Numbers that ran through the network, float32 (rows, neurons), and how the loss would change with them.

    gradient: the same shape, once a gradient was computed; None before.
    """

    value: Tensor
    gradient: Callable[[], Tensor | None]


@dataclass(frozen=True)
class Norm:
    """How a sum was brought to a common size: (sum - mean) / deviation * scale + shift."""

    kind: Literal["layer", "batch"]
    mean: float
    deviation: float
    scale: float
    shift: float


@dataclass(frozen=True)
class Extra:
    """What is added to a sum beside the products of this layer's weights."""

    layer: str  # where it comes from
    index: int
    input: float
    weight: float


@dataclass(frozen=True)
class Layer:
    """One layer of neurons of one member, while the network answered.

    sum -> normalisation (if any) -> + added (if `added_first`) -> kink -> fired -> + added (if not `added_first`)

    kink: a name from `neurons.KINKS`.
    sums, before_kink, fired: of each neuron; with places (a picture, a text), where it fired the most.
    inputs: neuron -> what it weighs, float32 (inputs,), in the first row.
    below: where the inputs come from: "input", "pixels", "terms" (words), "token", "mean" (of all tokens), "features" (of a
        pretrained network), or the name of a layer.
    weights, bias: neuron -> its entries of the parameters.
    shared: who else uses the same weights.
    norm: neuron -> how its sum was normalised.
    place: neuron -> row and column of a picture, or (0, number of the token); None where there are no places.
    """

    name: str
    kink: str
    sums: Signal
    before_kink: Signal
    fired: Signal
    inputs: Callable[[int], Tensor]
    below: str
    weights: Callable[[int], Knobs]
    bias: Callable[[int], Knobs | None]
    shared: Shared = ""
    norm: Callable[[int], Norm] | None = None
    added: Signal | None = None
    added_first: bool = False
    extras: Callable[[int], list[Extra]] = lambda neuron: []
    place: Callable[[int], tuple[int, int]] | None = None
    kernel: tuple[int, ...] = ()  # of a convolution: channels, height, width
    step: int = 1  # of a convolution: pixels from one place to the next
    border: int = 0  # of a convolution: pixels of nothing around

    @property
    def num_neurons(self) -> int:
        """How many there are."""
        return self.fired.value.shape[1]


@dataclass(frozen=True)
class Origin:
    """What an input of the first layer is made of.

    kind: a prepared number as it is, how much of a piece of it is filled, a number that stands for a category's level,
        a number that is known of the words of all texts, or one that a pretrained network says.
    index: which number, category ...
    part, parts: which one of so many pieces (or of a level's numbers), from 0.
    low, high: the edges of a piece.
    """

    kind: OriginKind
    index: int
    part: int = 0
    parts: int = 1
    low: float = 0.0
    high: float = 0.0


class Watch:
    """Notes what modules take in and give out, for as long as it is entered; gradients of it are kept, too."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self._modules = list(modules)
        self._calls: dict[nn.Module, list[tuple[tuple[Any, ...], Any]]] = {module: [] for module in self._modules}
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> Watch:
        self._handles = [module.register_forward_hook(self._note) for module in self._modules]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def _note(self, module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        for tensor in _tensors((arguments, output)):
            if tensor.requires_grad and not tensor.is_leaf:
                tensor.retain_grad()
        self._calls[module].append((arguments, output))

    @property
    def tensors(self) -> list[Tensor]:
        """All that was noted and has a gradient, once each."""
        found = [t for calls in self._calls.values() for t in _tensors(calls) if t.requires_grad and not t.is_leaf]
        return list({id(tensor): tensor for tensor in found}.values())

    def num_calls(self, module: nn.Module) -> int:
        """How often the module answered."""
        return len(self._calls[module])

    def taken(self, module: nn.Module, call: int = 0, argument: int = 0) -> Any:
        """What the module took in."""
        return self._calls[module][call][0][argument]

    def given(self, module: nn.Module, call: int = 0) -> Any:
        """What it gave out."""
        return self._calls[module][call][1]


def _tensors(content: Any) -> list[Tensor]:
    if isinstance(content, Tensor):
        return [content]
    if isinstance(content, Mapping):
        content = list(content.values())
    return [tensor for item in content for tensor in _tensors(item)] if isinstance(content, tuple | list) else []


def signal(whole: Tensor, pick: Callable[[Tensor], Tensor]) -> Signal:
    """Part of a tensor that was noted."""

    def gradient() -> Tensor | None:
        found = whole.grad if whole.requires_grad and not whole.is_leaf else None
        return None if found is None else pick(found)

    return Signal(pick(whole.detach()), gradient)


def row_of(values: Tensor, neuron: int) -> Tensor:
    """The first row, whichever neuron asks: all neurons of a dense layer see the same."""
    return values[0]


def norm_of(module: nn.Module, sums: Tensor, neuron: int) -> Norm:
    """What a normalisation does to one neuron's sum; sums: (rows, neurons), of which the first row is meant."""
    if isinstance(module, nn.LayerNorm):
        mean, variance = sums[0].mean(), sums[0].var(unbiased=False)
        kind: Literal["layer", "batch"] = "layer"
    else:
        assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
        assert module.running_mean is not None and module.running_var is not None
        mean, variance, kind = module.running_mean[neuron], module.running_var[neuron], "batch"
    deviation = (variance + module.eps).sqrt()
    scale, shift = module.weight.detach()[neuron], module.bias.detach()[neuron]
    return Norm(kind, float(mean), float(deviation), float(scale), float(shift))


def linear_layer(
    name: str,
    module: nn.Linear,
    parameter: str,
    taken: Tensor,
    given: Tensor,
    below: str,
    extras: Callable[[int], list[Extra]] = lambda neuron: [],
) -> Layer:
    """Weighted sums without a kink: the outputs. taken (rows, inputs), given (rows, outputs)."""
    sums = signal(given, lambda tensor: tensor)
    return Layer(
        name=name,
        kink="none",
        sums=sums,
        before_kink=sums,
        fired=sums,
        inputs=partial(row_of, taken.detach()),
        below=below,
        weights=lambda neuron: Knobs(f"{parameter}.weight", (neuron,)),
        bias=lambda neuron: Knobs(f"{parameter}.bias", (neuron,)) if module.bias is not None else None,
        extras=extras,
    )
