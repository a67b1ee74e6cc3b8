"""Pictures for the report of a run on images: its worst mistakes and where it looked, what it was shown, its first layer."""

from __future__ import annotations

import base64

import numpy as np
import torch
from torch import Tensor, nn

from nudgenet.data.augment import vary
from nudgenet.data.decoding import as_jpeg
from nudgenet.data.media import media_paths
from nudgenet.job import Table
from nudgenet.networks.convnet import ConvNet
from nudgenet.records import Part
from nudgenet.report.contents import Exhibit, Gallery
from nudgenet.scoring.metrics import row_losses
from nudgenet.settings import Settings

NUM_WORST = 24
NUM_SAMPLES = 8
VARIANTS = 3
MOST_FILTERS = 64
SMALL = 96  # pixels: a smaller picture is drawn larger, each of its pixels a square


def galleries(
    network: nn.Module, table: Table, targets: np.ndarray, answers: np.ndarray, settings: Settings
) -> list[Gallery]:
    """What there is to see; nothing for a table without images.

    Args:
        targets, answers: of the test part, as `score` takes them.
    """
    if table.preparation.image is None or not isinstance(network, ConvNet):
        return []
    shown = [worst_mistakes(network, table, targets, answers), as_seen(table, settings), filters(network)]
    return [gallery for gallery in shown if gallery.exhibits]


def worst_mistakes(network: ConvNet, table: Table, targets: np.ndarray, answers: np.ndarray) -> Gallery:
    """The test images with the largest loss that are wrong, each beside where the network looked."""
    task, part = table.task, table.prepared.test
    losses = row_losses(task.kind, targets, answers)
    if task.classes:
        losses = np.where(answers.argmax(axis=1) == targets, -np.inf, losses)
    worst = [int(row) for row in np.argsort(-losses, kind="stable")[:NUM_WORST] if np.isfinite(losses[row])]
    paths = media_paths(table.test_cells)
    chosen = part.inputs["images"][worst]
    outputs = answers[worst].argmax(axis=1) if task.classes else np.zeros(len(worst), int)
    heated = heat_maps(network, chosen, outputs) if task.classes and worst else [None] * len(worst)
    exhibits = []
    for place, row in enumerate(worst):
        if task.classes:
            taken = task.classes[int(outputs[place])]
            said = f"{task.classes[int(targets[row])]}, taken for {taken} ({answers[row].max():.0%} sure)"
        else:
            said = f"{targets[row]:.4g}, predicted {answers[row]:.4g}"
        name = "" if paths is None else str(paths[row].as_py())
        heat = heated[place]
        uris = [data_uri(chosen[place]), *([] if heat is None else [data_uri(heat)])]
        exhibits.append(Exhibit(tuple(uris), said, name))
    words = "Test images that the network got most wrong."
    if task.classes:
        words += " Beside each, in yellow, what spoke for the answer that it gave (class activation map)."
    return Gallery("Its worst mistakes", words, tuple(exhibits))


def heat_maps(network: ConvNet, images: Tensor, outputs: np.ndarray) -> list[Tensor]:
    """Each image darkened where nothing spoke for an output, and tinted yellow where much did: uint8 (3, height, width).

    The last maps are averaged and weighed by the output's knobs; before averaging, the same sum says where it came
    from (Zhou et al., Learning deep features for discriminative localization, arXiv 1512.04150).
    """
    with torch.inference_mode():
        maps = network.maps(images).float()
        knobs = network.output.weight[torch.from_numpy(outputs), : maps.shape[1]]
        heat = torch.einsum("rchw,rc->rhw", maps, knobs).clamp_min(0)
        heat = heat / heat.amax(dim=(1, 2), keepdim=True).clamp_min(1e-9)
        heat = nn.functional.interpolate(heat.unsqueeze(1), images.shape[2:], mode="bilinear")
    colour = images.float().expand(-1, 3, -1, -1)
    yellow = torch.tensor([255.0, 210.0, 0.0]).view(1, 3, 1, 1)
    tinted = colour * (0.45 + 0.25 * heat) + yellow * (0.45 * heat)
    return list(tinted.clamp(0, 255).round().to(torch.uint8))


def as_seen(table: Table, settings: Settings) -> Gallery:
    """A few training images, each as it is and as the loop varies it."""
    part: Part = table.prepared.train
    rows = torch.linspace(0, len(part) - 1, min(NUM_SAMPLES, len(part))).round().long()
    images, ways = part.inputs["images"][rows], settings.augment or ()
    generator = torch.Generator().manual_seed(settings.seed)
    variants = [vary(images, ways, generator) for _ in range(VARIANTS if ways else 0)]
    labels = part.targets[rows].tolist()
    exhibits = [
        Exhibit(tuple(data_uri(view[place]) for view in (images, *variants)), label_of(table, labels[place]), "")
        for place in range(len(rows))
    ]
    how = f"then varied ({', '.join(ways)}), anew each time it is seen" if ways else "they are not varied"
    return Gallery("As the network sees them", f"Training images: first as each is, {how}.", tuple(exhibits))


def label_of(table: Table, target: float) -> str:
    """A prepared target as a person knows it."""
    if table.task.classes:
        return str(table.task.classes[int(target)])
    return f"{target * table.prepared.target_scale + table.prepared.target_center:.4g}"


def filters(network: ConvNet) -> Gallery:
    """The weights of the first layer: the small patterns that it looks for, the most used first."""
    weights = network.stem.weight.detach().float()
    order = weights.flatten(1).norm(dim=1).argsort(descending=True, stable=True)[:MOST_FILTERS]
    pictures = weights[order]
    largest = pictures.flatten(1).abs().amax(dim=1).clamp_min(1e-9).view(-1, 1, 1, 1)
    pixels = (127.5 + 127.5 * pictures / largest).round().to(torch.uint8)
    exhibits = tuple(Exhibit((data_uri(picture, least=40),), "", "") for picture in pixels)
    words = "Each square is one neuron of the first layer: bright where it wants light, dark where it wants none."
    return Gallery("What the first layer looks for", words, exhibits)


def data_uri(picture: Tensor, least: int = SMALL) -> str:
    """uint8 (channels, height, width) as a JPEG inside a link."""
    pixels: np.ndarray = picture.permute(1, 2, 0).contiguous().numpy()
    scale = max(1, round(least / max(pixels.shape[:2])))
    return "data:image/jpeg;base64," + base64.b64encode(as_jpeg(pixels, scale)).decode()
