"""Pictures for the report of a run on images or sounds: its worst mistakes and where it looked, what it was shown, its
first layer. A sound is shown as its spectrogram, with a player."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from nudgenet.data.audio import as_mp3, decode_sound
from nudgenet.data.augment import vary
from nudgenet.data.decoding import as_jpeg
from nudgenet.data.media import Undecodable, media_paths
from nudgenet.job import Table
from nudgenet.networks.convnet import ConvNet
from nudgenet.records import Medium, Part
from nudgenet.report.contents import Exhibit, Gallery
from nudgenet.report.spectrograms import png_uri, spectrogram_uri
from nudgenet.scoring.metrics import row_losses
from nudgenet.settings import Settings

NUM_WORST = 24
NUM_SAMPLES = 8
VARIANTS = 3
MOST_FILTERS = 64
HEARD_SECONDS = 6  # of a sound that can be played, at most: 24 of them take half a megabyte
HEARD_RATE = 16_000
SMALL = 96  # pixels: a smaller picture is drawn larger, each of its pixels a square


def galleries(
    network: nn.Module, table: Table, targets: np.ndarray, answers: np.ndarray, settings: Settings
) -> list[Gallery]:
    """What there is to see; nothing for a table without images or sounds.

    Args:
        targets, answers: of the test part, as `score` takes them.
    """
    if table.preparation.media is None or not isinstance(network, ConvNet):
        return []
    shown = [
        worst_mistakes(network, table, targets, answers, settings),
        as_seen(table, settings),
        filters(network, medium_of(table)),
    ]
    return [gallery for gallery in shown if gallery.exhibits]


def worst_mistakes(
    network: ConvNet, table: Table, targets: np.ndarray, answers: np.ndarray, settings: Settings
) -> Gallery:
    """The test images or sounds with the largest loss that are wrong, each beside where the network looked."""
    task, part, medium = table.task, table.prepared.test, medium_of(table)
    losses = row_losses(task.kind, targets, answers)
    if task.classes:
        losses = np.where(answers.argmax(axis=1) == targets, -np.inf, losses)
    worst = [int(row) for row in np.argsort(-losses, kind="stable")[:NUM_WORST] if np.isfinite(losses[row])]
    paths = media_paths(table.test_cells)
    chosen = one_view(network, part.inputs["images"][worst])
    outputs = answers[worst].argmax(axis=1) if task.classes else np.zeros(len(worst), int)
    heats = heat_maps(network, chosen, outputs) if task.classes and worst else None
    exhibits = []
    for place, row in enumerate(worst):
        if task.classes:
            taken = task.classes[int(outputs[place])]
            said = f"{task.classes[int(targets[row])]}, taken for {taken} ({answers[row].max():.0%} sure)"
        else:
            said = f"{targets[row]:.4g}, predicted {answers[row]:.4g}"
        name = "" if paths is None else str(paths[row].as_py())
        uris = [drawn(chosen[place], medium)]
        if heats is not None:
            uris.append(drawn(chosen[place], medium, heats[place]))
        sound = sound_of(table, name, settings) if medium == "sound" else ""
        exhibits.append(Exhibit(tuple(uris), said, name, sound))
    words = f"Test {medium}s that the network got most wrong."
    if medium == "sound":
        words += " Each as the network sees it: time runs to the right, low pitches are at the bottom, bright is loud."
    if task.classes:
        bright = "in yellow" if medium == "image" else "left bright"
        words += f" Beside each, {bright}, what spoke for the answer that it gave (class activation map)."
    return Gallery("Its worst mistakes", words, tuple(exhibits))


def heat_maps(network: ConvNet, images: Tensor, outputs: np.ndarray) -> Tensor:
    """How much each place of an image spoke for an output, from 0 to 1: float32 (rows, height, width).

    The last maps are averaged and weighed by the output's knobs; before averaging, the same sum says where it came
    from (Zhou et al., Learning deep features for discriminative localization, arXiv 1512.04150).
    """
    with torch.inference_mode():
        maps = network.maps(images).float()
        knobs = network.output.weight[torch.from_numpy(outputs), : maps.shape[1]]
        heat = torch.einsum("rchw,rc->rhw", maps, knobs).clamp_min(0)
        heat = heat / heat.amax(dim=(1, 2), keepdim=True).clamp_min(1e-9)
        return nn.functional.interpolate(heat.unsqueeze(1), images.shape[2:], mode="bilinear")[:, 0]


def one_view(network: ConvNet, images: Tensor) -> Tensor:
    """Images as they are; of sounds with several windows, the middle one."""
    views = torch.split(images, network.stem.in_channels, dim=1)
    return views[len(views) // 2]


def as_seen(table: Table, settings: Settings) -> Gallery:
    """A few training images or sounds, each as it is and as the loop varies it."""
    part: Part = table.prepared.train
    medium = medium_of(table)
    rows = torch.linspace(0, len(part) - 1, min(NUM_SAMPLES, len(part))).round().long()
    images, ways = part.inputs["images"][rows], settings.augment or ()
    generator = torch.Generator().manual_seed(settings.seed)
    variants = [vary(images, ways, generator) for _ in range(VARIANTS if ways else 0)]
    labels = part.targets[rows].tolist()
    exhibits = [
        Exhibit(tuple(drawn(view[place], medium) for view in (images, *variants)), label_of(table, labels[place]), "")
        for place in range(len(rows))
    ]
    how = f"then varied ({', '.join(ways)}), anew each time it is seen" if ways else "they are not varied"
    return Gallery("As the network sees them", f"Training {medium}s: first as each is, {how}.", tuple(exhibits))


def label_of(table: Table, target: float) -> str:
    """A prepared target as a person knows it."""
    if table.task.classes:
        return str(table.task.classes[int(target)])
    return f"{target * table.prepared.target_scale + table.prepared.target_center:.4g}"


def filters(network: ConvNet, medium: Medium) -> Gallery:
    """The weights of the first layer: the small patterns that it looks for, the most used first."""
    weights = network.stem.weight.detach().float()
    order = weights.flatten(1).norm(dim=1).argsort(descending=True, stable=True)[:MOST_FILTERS]
    pictures = weights[order]
    largest = pictures.flatten(1).abs().amax(dim=1).clamp_min(1e-9).view(-1, 1, 1, 1)
    pixels = (127.5 + 127.5 * pictures / largest).round().to(torch.uint8)
    if medium == "sound":
        uris = [png_uri(picture[0].flip(0).unsqueeze(2).expand(-1, -1, 3).numpy()) for picture in pixels]
        wants = "sound (time runs to the right, low pitches are at the bottom)"
    else:
        uris, wants = [data_uri(picture, least=40) for picture in pixels], "light"
    exhibits = tuple(Exhibit((uri,), "", "") for uri in uris)
    words = f"Each square is one neuron of the first layer: bright where it wants {wants}, dark where it wants none."
    return Gallery("What the first layer looks for", words, exhibits)


def medium_of(table: Table) -> Medium:
    """What the pictures are of."""
    shape = table.prepared.shape.image
    return "image" if shape is None else shape.medium


def drawn(picture: Tensor, medium: Medium, heat: Tensor | None = None) -> str:
    """A picture uint8 (channels, height, width) inside a link; with heat from 0 to 1, (height, width).

    An image is darkened where there is none and tinted yellow where there is much; a sound's picture is darkened.
    """
    if medium == "sound":
        return spectrogram_uri(picture[0].numpy(), None if heat is None else heat.numpy())
    if heat is not None:
        yellow = torch.tensor([255.0, 210.0, 0.0]).view(3, 1, 1)
        tinted = picture.float().expand(3, -1, -1) * (0.45 + 0.25 * heat) + yellow * (0.45 * heat)
        picture = tinted.clamp(0, 255).round().to(torch.uint8)
    return data_uri(picture)


def sound_of(table: Table, name: str, settings: Settings) -> str:
    """The beginning of a test sound's file inside a link, to be played; "" if it is gone or cannot be encoded."""
    source = Path(settings.test or table.raw.source.location or Path.cwd()).expanduser()
    folder = source if source.is_dir() else source.parent
    try:
        clip = decode_sound((folder / name).read_bytes(), HEARD_RATE)
        return as_mp3(clip.samples[: HEARD_SECONDS * clip.rate], clip.rate)
    except (OSError, ValueError, RuntimeError, Undecodable):
        return ""


def data_uri(picture: Tensor, least: int = SMALL) -> str:
    """uint8 (channels, height, width) as a JPEG inside a link."""
    pixels: np.ndarray = picture.permute(1, 2, 0).contiguous().numpy()
    scale = max(1, round(least / max(pixels.shape[:2])))
    return "data:image/jpeg;base64," + base64.b64encode(as_jpeg(pixels, scale)).decode()
