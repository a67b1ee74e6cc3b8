"""Pictures for the report of a run on images or sounds: its worst mistakes and where it looked, what it was shown, what
its layers look for. A sound is shown as its spectrogram, with a player."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from nudgenet.data.audio import as_mp3, decode_sound
from nudgenet.data.augment import MIXES, WAYS, vary
from nudgenet.data.decoding import as_jpeg
from nudgenet.data.media import Undecodable, media_paths
from nudgenet.data.waves import WaveFeature
from nudgenet.job import Table
from nudgenet.networks.anatomy import fired_in, first_filters
from nudgenet.networks.attribution import fired_in_trunk, heat_maps
from nudgenet.networks.convnet import ConvNet
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.records import Medium, Part
from nudgenet.report.contents import Exhibit, Gallery
from nudgenet.report.spectrograms import png_uri, spectrogram_uri
from nudgenet.scoring.answers import AnswerRule
from nudgenet.scoring.mistakes import worst_mistakes
from nudgenet.settings import Settings

NUM_WORST = 24
NUM_SAMPLES = 8
VARIANTS = 3
MOST_FILTERS = 64
FILTER = 24  # pixels that stand for one weight of a filter
MOST_EXCITING = 9
CHANNELS = 2  # neurons of each depth
MOST_LOOKED_AT = 2_000  # training rows, evenly spaced
MOST_OF_TRUNK = 200  # the same for a pretrained network, which takes far longer for each
THUMB = 78  # pixels, as they are drawn
HEARD_SECONDS = 6  # of a sound that can be played, at most: 24 of them take half a megabyte
HEARD_RATE = 16_000
SMALL = 96  # pixels: a smaller picture is drawn larger, each of its pixels a square


def galleries(
    network: nn.Module, table: Table, targets: np.ndarray, answers: np.ndarray, rule: AnswerRule, settings: Settings
) -> list[Gallery]:
    """What there is to see; nothing for a table without images or sounds.

    Args:
        targets, answers: of the test part, as `score` takes them.
    """
    if table.preparation.media is None:
        return []
    shown = [worst_shown(network, table, targets, answers, rule, settings), as_seen(table, settings)]
    shown += [filters(network, medium_of(table)), excited(network, table)]
    return [gallery for gallery in shown if gallery.exhibits]


def worst_shown(
    network: nn.Module, table: Table, targets: np.ndarray, answers: np.ndarray, rule: AnswerRule, settings: Settings
) -> Gallery:
    """The test images or sounds with the largest loss that are wrong, each beside where the network looked."""
    task, part, medium = table.task, table.prepared.test, medium_of(table)
    worst = worst_mistakes(task, targets, answers, rule, NUM_WORST)
    paths = media_paths(table.test_cells)
    inputs = {name: tensor[[mistake.row for mistake in worst]] for name, tensor in part.inputs.items()}
    pictures = pictures_of(inputs, table)
    # Where it looked for the class that it took each for, or for the number.
    heats = heat_maps(network, inputs, torch.tensor([mistake.taken or 0 for mistake in worst], dtype=torch.long))
    if heats is not None and worst:
        heats = nn.functional.interpolate(heats.unsqueeze(1), tuple(pictures.shape[2:]), mode="bilinear")[:, 0]
    exhibits = []
    for place, mistake in enumerate(worst):
        name = "" if paths is None else str(paths[mistake.row].as_py())
        uris = [drawn(pictures[place], medium)]
        if heats is not None:
            uris.append(drawn(pictures[place], medium, heats[place]))
        sound = sound_of(table, name, settings) if medium == "sound" else ""
        exhibits.append(Exhibit(tuple(uris), mistake.said, name, sound))
    words = f"Test {medium}s that the network got most wrong."
    if medium == "sound":
        words += " Each as the network sees it: time runs to the right, low pitches are at the bottom, bright is loud."
    if heats is not None:
        bright = "in yellow" if medium == "image" else "left bright"
        spoke = "what spoke for the answer that it gave" if task.classes else "what made the number larger"
        words += f" Beside each, {bright}, {spoke} (Grad-CAM)."
    return Gallery("Its worst mistakes", words, tuple(exhibits))


def pictures_of(inputs: Mapping[str, Tensor], table: Table) -> Tensor:
    """Images or sounds as pictures, uint8 (rows, channels, height, width): samples as the loudness of their pitches."""
    media = table.preparation.media
    return media.pictures(inputs["waves"]) if isinstance(media, WaveFeature) else one_view(inputs["images"], table)


def one_view(images: Tensor, table: Table) -> Tensor:
    """Images as they are; of sounds with several windows, the middle one."""
    shape = table.prepared.shape.image
    assert shape is not None
    views = torch.split(images, shape.channels, dim=1)
    return views[len(views) // 2]


def as_seen(table: Table, settings: Settings) -> Gallery:
    """A few training images or sounds, each as it is and as the loop varies it."""
    part: Part = table.prepared.train
    medium = medium_of(table)
    rows = torch.linspace(0, len(part) - 1, min(NUM_SAMPLES, len(part))).round().long()
    inputs = {name: part.inputs[name][rows] for name in ("images", "waves") if name in part.inputs}
    given = settings.augment or () if "images" in inputs else ()
    ways, mixes = [way for way in given if way in WAYS], [way for way in given if way in MIXES]
    generator = torch.Generator().manual_seed(settings.seed)
    variants = [vary(inputs["images"], ways, generator) for _ in range(VARIANTS if ways else 0)]
    plain = inputs["images"] if "images" in inputs else pictures_of(inputs, table)
    labels = part.targets[rows].tolist()
    exhibits = [
        Exhibit(tuple(drawn(view[place], medium) for view in (plain, *variants)), label_of(table, labels[place]), "")
        for place in range(len(rows))
    ]
    how = f"then varied ({', '.join(ways)}), anew each time it is seen" if ways else "they are not varied"
    how += f"; some are mixed in pairs, too ({', '.join(mixes)})" if mixes else ""
    return Gallery("As the network sees them", f"Training {medium}s: first as each is, {how}.", tuple(exhibits))


def label_of(table: Table, target: float) -> str:
    """A prepared target as a person knows it."""
    if table.task.classes:
        return str(table.task.classes[int(target)])
    return f"{target * table.prepared.target_scale + table.prepared.target_center:.4g}"


def filters(network: nn.Module, medium: Medium) -> Gallery:
    """The weights of the first layer: the small patterns that it looks for, the most used first."""
    title = "What the first layer looks for"
    found = first_filters(network, MOST_FILTERS)
    if found is None:
        return Gallery(title, "", ())
    order, pictures = found
    largest = pictures.flatten(1).abs().amax(dim=1).clamp_min(1e-9).view(-1, 1, 1, 1)
    pixels = (127.5 + 127.5 * pictures / largest).round().to(torch.uint8)
    if medium == "sound":
        scale = max(1, min(FILTER, SMALL // pixels.shape[2]))
        larger = pixels[:, 0].flip(1).repeat_interleave(scale, 1).repeat_interleave(scale, 2)
        uris = [png_uri(picture.unsqueeze(2).expand(-1, -1, 3).numpy()) for picture in larger]
        wants = "sound (time runs to the right, low pitches are at the bottom)"
    else:
        uris, wants = [data_uri(picture) for picture in pixels], "light"
    exhibits = tuple(Exhibit((uri,), "", str(channel)) for uri, channel in zip(uris, order, strict=True))
    words = (
        "Each square is one neuron of the first layer, by its number: bright where it wants "
        f"{wants}, dark where it wants none."
    )
    return Gallery(title, words, exhibits)


def excited(network: nn.Module, table: Table) -> Gallery:
    """Neurons of growing depth, each with the training images or sounds that excite it the most.

    At each depth those are shown whose answers differ the most from row to row.
    """
    part, medium = table.prepared.train, medium_of(table)
    most = MOST_LOOKED_AT if isinstance(network, ConvNet) else MOST_OF_TRUNK
    rows = torch.linspace(0, len(part) - 1, min(len(part), most)).round().long()
    exhibits = []
    for depth, fired in fired_at_depths(network, part.inputs, rows).items():
        for channel in fired.std(dim=0, correction=0).argsort(descending=True, stable=True)[:CHANNELS].tolist():
            best = rows[fired[:, channel].argsort(descending=True, stable=True)[:MOST_EXCITING]]
            pictures = pictures_of({name: tensor[best] for name, tensor in part.inputs.items()}, table)
            uris = tuple(drawn(small(picture) if medium == "image" else picture, medium) for picture in pictures)
            exhibits.append(Exhibit(uris, f"{depth}, neuron {channel}", ""))
    words = (
        f"The training {medium}s that excite a neuron the most, the strongest first, from the first layer to the last: "
        "what they have in common is what the neuron answers to. Of each depth those neurons are shown whose answers "
        f"differ the most from {medium} to {medium}."
    )
    return Gallery("What excites its neurons", words, tuple(exhibits))


def fired_at_depths(network: nn.Module, inputs: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    """How deep, in words -> what the neurons there answer to rows, float32 (rows, neurons); {} if nothing can be said."""
    if isinstance(network, PretrainedNetwork):
        return fired_in_trunk(network, {name: tensor[rows] for name, tensor in inputs.items()})
    if not isinstance(network, ConvNet):
        return {}
    depths = {"stem": "first layer"} | {
        f"stage{number}.second": f"stage {number} of {len(network.stages)}"
        for number in range(1, len(network.stages) + 1)
    }
    num_views = inputs["images"].shape[1] // network.stem.in_channels
    answers = fired_in(network, inputs, rows, depths, num_views // 2)
    return {depth: answers[layer] for layer, depth in depths.items()}


def small(picture: Tensor) -> Tensor:
    """uint8 (channels, height, width) with at most `THUMB` pixels on its longer side: many are shown."""
    scale = THUMB / max(picture.shape[1:])
    if scale >= 1:
        return picture
    size = tuple(max(1, round(side * scale)) for side in picture.shape[1:])
    shrunk = nn.functional.interpolate(picture.float().unsqueeze(0), size, mode="bilinear", antialias=True)
    return shrunk[0].clamp(0, 255).round().to(torch.uint8)


def medium_of(table: Table) -> Medium:
    """What the pictures are of."""
    media = table.preparation.media
    return "image" if media is None else media.kind


def drawn(picture: Tensor, medium: Medium, heat: Tensor | None = None) -> str:
    """A picture uint8 (channels, height, width) inside a link; with heat from 0 to 1, (height, width).

    An image is darkened where there is none and tinted yellow where there is much; a sound's picture is darkened.
    """
    if medium == "sound":
        return spectrogram_uri(picture[0].numpy(), None if heat is None else heat.numpy())
    if heat is not None:
        yellow = torch.tensor([255.0, 210.0, 0.0]).view(3, 1, 1)
        tinted = picture.float().expand(3, -1, -1) * (0.3 + 0.45 * heat) + yellow * (0.25 * heat)
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


def data_uri(picture: Tensor) -> str:
    """uint8 (channels, height, width) as a JPEG inside a link."""
    pixels: np.ndarray = picture.permute(1, 2, 0).contiguous().numpy()
    scale = max(1, round(SMALL / max(pixels.shape[:2])))
    return "data:image/jpeg;base64," + base64.b64encode(as_jpeg(pixels, scale)).decode()
