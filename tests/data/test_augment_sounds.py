"""Ways to vary sounds, each against what it promises."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nudgenet.data.augment import augmented
from nudgenet.data.augment_sounds import (
    DELAY,
    GAIN,
    MASKS,
    MOMENTS_MASKED,
    NOISE,
    PITCH,
    PITCHES_MASKED,
    SOUND_WAYS,
    SPECKLE,
    crop,
    delay,
    gain,
    mask,
    noise,
    pitch,
    tempo,
)
from nudgenet.records import Batch
from nudgenet.settings import AUGMENTATIONS

COUNT, BANDS, MOMENTS = 200, 24, 48


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dots(band: int = 12, moment: int = 20) -> Tensor:
    """Pictures with one loud pixel."""
    pictures = torch.zeros(COUNT, 1, BANDS, MOMENTS, dtype=torch.uint8)
    pictures[:, 0, band, moment] = 200
    return pictures


def places(pictures: Tensor) -> Tensor:
    """(rows, 2): band and moment of the one loud pixel."""
    loud = pictures.flatten(1).argmax(dim=1)
    return torch.stack([loud // MOMENTS, loud % MOMENTS], dim=1)


def test_each_way_that_settings_know_is_there() -> None:
    assert tuple(SOUND_WAYS) == AUGMENTATIONS["sound"]


@pytest.mark.parametrize("way", sorted(SOUND_WAYS))
@pytest.mark.parametrize("shape", [(3, 1, 48, 72), (2, 3, 16, 32), (1, 1, 1, 1)])
def test_a_step_varies_alike_again_and_keeps_what_a_picture_is(way: str, shape: tuple[int, ...]) -> None:
    images = torch.randint(0, 256, shape, generator=seeded(), dtype=torch.uint8)
    batch = Batch({"images": images}, torch.zeros(len(images)))
    before = images.clone()
    first, again = (augmented(batch, [way], 3, 5).inputs["images"] for _ in range(2))
    assert torch.equal(first, again) and torch.equal(images, before)
    assert first.dtype == torch.uint8
    assert first.shape == (shape[0], 1 if way == "crop" else shape[1], *shape[2:])


def test_another_step_varies_otherwise() -> None:
    batch = Batch(
        {"images": torch.randint(1, 256, (8, 2, 24, 48), generator=seeded(), dtype=torch.uint8)}, torch.zeros(8)
    )
    for way in SOUND_WAYS:
        one, other = (augmented(batch, [way], 0, step).inputs["images"] for step in (1, 2))
        assert not torch.equal(one, other), way


def test_crops_take_every_window() -> None:
    pictures = torch.arange(4, dtype=torch.uint8).view(1, 4, 1, 1).expand(COUNT, 4, BANDS, MOMENTS)
    chosen = crop(pictures, seeded())[:, 0]
    assert (chosen == chosen[:, :1, :1]).all()
    assert set(chosen[:, 0, 0].tolist()) == {0, 1, 2, 3}


def test_delays_move_in_time_only_and_leave_silence() -> None:
    moved = delay(dots(), seeded())
    band, moment = places(moved).T
    assert (band == 12).all() and moved.flatten(1).sum(dim=1).eq(200).all()
    assert set((moment - 20).tolist()) == set(range(-round(DELAY * MOMENTS), round(DELAY * MOMENTS) + 1))
    assert (delay(torch.full((COUNT, 1, 2, MOMENTS), 9, dtype=torch.uint8), seeded())[:, :, :, 0] == 0).any()


def test_the_pitch_moves_by_a_little() -> None:
    band, moment = places(pitch(dots(), seeded())).T
    assert (moment == 20).all()
    most = max(1, round(PITCH * BANDS))
    assert set((band - 12).tolist()) == set(range(-most, most + 1))


def test_the_tempo_stretches_about_the_middle() -> None:
    ends = dots(moment=4)
    ends[:, 0, 12, 44] = 100
    stretched = tempo(ends, seeded())[:, 0, 12]
    begin, end = ((stretched == value).float().argmax(dim=1) for value in (200, 100))
    there = (stretched == 200).any(dim=1) & (stretched == 100).any(dim=1)
    lengths = (end - begin)[there]
    assert lengths.min() < 38 and lengths.max() > 42
    assert ((begin + end)[there] - 48).abs().max() <= 4


def test_gain_changes_all_alike_and_never_silence() -> None:
    pictures = torch.full((COUNT, 1, BANDS, MOMENTS), 120, dtype=torch.uint8)
    pictures[:, :, :, :9] = 0
    louder = gain(pictures, seeded())
    assert (louder[:, :, :, :9] == 0).all()
    change = louder[:, 0, 0, 9].int() - 120
    assert (louder[:, :, :, 9:].int() - change.view(-1, 1, 1, 1) == 120).all()
    assert change.abs().max() <= round(255 * GAIN) and change.min() < -20 and change.max() > 20
    assert gain(torch.full((COUNT, 1, 2, 2), 250, dtype=torch.uint8), seeded()).max() == 255  # and no overflow to 0
    assert gain(torch.full((COUNT, 1, 2, 2), 250, dtype=torch.uint8), seeded()).min() > 200


def test_noise_covers_what_is_faint_in_half_of_them() -> None:
    noisy = noise(dots(), seeded())
    assert (noisy[:, 0, 12, 20] == 200).all()
    changed = (noisy != dots()).flatten(1).float().mean(dim=1)
    assert 0.35 < float((changed > 0.5).float().mean()) < 0.65
    assert noisy[:, :, :10].float().mean(dim=(1, 2, 3)).max() <= 255 * NOISE + 255 * SPECKLE


def test_masks_hide_bands_and_stretches_of_limited_width() -> None:
    pictures = torch.full((COUNT, 1, BANDS, MOMENTS), 255, dtype=torch.uint8)
    pictures[:, :, ::2] = 1
    hidden = (mask(pictures, seeded()) == 128).squeeze(1)
    whole_bands, whole_moments = hidden.all(dim=2).sum(dim=1), hidden.all(dim=1).sum(dim=1)
    assert 0 < whole_bands.max() <= MASKS * (PITCHES_MASKED * BANDS + 1)
    assert 0 < whole_moments.max() <= MASKS * (MOMENTS_MASKED * MOMENTS + 1)
    inside = hidden.all(dim=2).unsqueeze(2) | hidden.all(dim=1).unsqueeze(1)
    assert torch.equal(hidden, inside)
