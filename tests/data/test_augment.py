"""Images are varied in the ways asked for, and in the same way at the same step."""

from __future__ import annotations

import pytest
import torch

from nudgenet.data.augment import augmented, vary
from nudgenet.records import Batch

IMAGES = torch.randint(0, 256, (40, 3, 16, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def batch() -> Batch:
    return Batch({"images": IMAGES, "numbers": torch.zeros(40, 0)}, torch.zeros(40))


def test_the_same_step_varies_alike_and_another_step_otherwise() -> None:
    ways = ("flip", "shift", "cutout", "colour")
    state = torch.get_rng_state()
    first, again, later = (augmented(batch(), ways, 3, step).inputs["images"] for step in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, later)
    assert torch.equal(state, torch.get_rng_state())
    assert first.dtype == torch.uint8 and first.shape == IMAGES.shape


def test_without_ways_the_batch_itself() -> None:
    given = batch()
    assert augmented(given, (), 0, 0) is given


def test_flips_mirror_about_half_of_the_pictures_and_change_nothing_else() -> None:
    varied = vary(IMAGES, ("flip",), torch.Generator().manual_seed(1))
    kept = (varied == IMAGES).flatten(1).all(1)
    mirrored = (varied == IMAGES.flip(3)).flatten(1).all(1)
    assert (kept ^ mirrored).all()
    assert 8 < kept.sum() < 32


def test_shifts_move_by_a_twelfth_at_most_and_mirror_the_edge() -> None:
    varied = vary(IMAGES, ("shift",), torch.Generator().manual_seed(1))
    padded = torch.nn.functional.pad(IMAGES.float(), (2, 2, 1, 1), mode="reflect").to(torch.uint8)
    places = [padded[:, :, y : y + 16, x : x + 20] for y in range(3) for x in range(5)]
    matches = torch.stack([(place == varied).flatten(1).all(1) for place in places])
    assert matches.any(0).all()
    assert matches.any(1).sum() > 5


def test_large_pictures_are_zoomed_too() -> None:
    ramp = torch.arange(64).view(1, 1, 1, 64).expand(30, 1, 64, 64).to(torch.uint8)
    varied = vary(ramp, ("shift",), torch.Generator().manual_seed(0)).float()
    slopes = varied[:, 0, 32, 40] - varied[:, 0, 32, 24]
    assert slopes.min() < 15 and slopes.max() > 17


def test_cutout_paints_a_square_in_the_mean_colour() -> None:
    varied = vary(IMAGES, ("cutout",), torch.Generator().manual_seed(1))
    changed = (varied != IMAGES).any(1)
    assert 5 < changed.flatten(1).any(1).sum() < 35
    mean = IMAGES.float().mean((2, 3)).to(torch.uint8)
    for picture, pixels, where in zip(varied, mean, changed, strict=True):
        assert (picture[:, where] == pixels.unsqueeze(1)).all()


def test_colour_changes_values_and_not_shapes() -> None:
    flat = torch.full((20, 3, 4, 4), 100, dtype=torch.uint8)
    varied = vary(flat, ("colour",), torch.Generator().manual_seed(1))
    assert (varied.flatten(2).amax(2) == varied.flatten(2).amin(2)).all()
    assert varied.float().std() > 5


@pytest.mark.parametrize("side", [1, 2, 3])
def test_tiny_pictures_survive(side: int) -> None:
    tiny = IMAGES[:, :, :side, :side].contiguous()
    assert vary(tiny, ("flip", "shift", "cutout"), torch.Generator()).shape == tiny.shape


def test_only_a_share_of_the_images_is_varied() -> None:
    images = torch.randint(0, 256, (400, 1, 12, 12), dtype=torch.uint8)
    batch = Batch({"images": images}, torch.zeros(400))
    assert augmented(batch, ("shift", "colour"), 0, 5, 0.0).inputs["images"] is images
    varied = augmented(batch, ("shift", "colour"), 0, 5, 0.25).inputs["images"]
    changed = (varied != images).flatten(1).any(1)
    assert 60 < int(changed.sum()) < 140
    whole = augmented(batch, ("shift", "colour"), 0, 5).inputs["images"]
    assert torch.equal(varied[changed], whole[changed])  # those that are varied are varied as ever


def test_of_long_sounds_one_window_is_taken_however_few_are_varied() -> None:
    pictures = torch.randint(0, 256, (20, 3, 8, 10), dtype=torch.uint8)
    batch = Batch({"images": pictures}, torch.zeros(20))
    taken = augmented(batch, ("crop", "gain"), 0, 5, 0.0).inputs["images"]
    assert taken.shape == (20, 1, 8, 10)
    assert all(any(torch.equal(one[0], window) for window in sound) for one, sound in zip(taken, pictures, strict=True))


def test_mixing_gives_both_targets_and_how_much_is_a_rows_own() -> None:
    dark, bright = torch.zeros(200, 1, 10, 10, dtype=torch.uint8), torch.full((200, 1, 10, 10), 200, dtype=torch.uint8)
    images = torch.stack([dark, bright], 1).flatten(0, 1)  # by turns: the partner of each is of the other kind
    targets = torch.arange(400) % 2
    for way in ("mixup", "cutmix"):
        state = torch.get_rng_state()
        mixed = augmented(Batch({"images": images}, targets), (way,), 0, 5)
        assert torch.equal(state, torch.get_rng_state())
        assert mixed.others is not None and mixed.share is not None
        assert torch.equal(mixed.others, 1 - targets) and torch.equal(mixed.targets, targets)
        bright_part = torch.where(targets == 1, mixed.share, 1 - mixed.share)
        shown = mixed.inputs["images"].float().mean((1, 2, 3)) / 200
        assert torch.allclose(shown, bright_part, atol=0.01)
        assert 100 < int((mixed.share < 1).sum()) < 260  # a rectangle may lie outside, and little of another is none
        assert mixed.share.min() >= 0.5 - 1e-6


def test_of_two_ways_to_mix_each_batch_gets_one() -> None:
    images = torch.tensor([0, 200], dtype=torch.uint8).repeat(20).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    given = Batch({"images": images}, torch.zeros(40))
    # A rectangle leaves every pixel either's; shining through makes new ones.
    new = {
        bool(((one != 0) & (one != 200)).any())
        for one in (augmented(given, ("mixup", "cutmix"), 0, step).inputs["images"] for step in range(12))
    }
    assert new == {True, False}


def test_nothing_is_mixed_where_nothing_is_varied() -> None:
    given = batch()
    assert augmented(given, ("cutmix",), 0, 5, 0.0).others is None
    quarter = augmented(given, ("cutmix",), 0, 5, 0.25)
    assert quarter.share is not None and int((quarter.share == 1).sum()) > 25


def test_terms_are_left_out_of_texts_where_that_is_asked_for_alone() -> None:
    given = Batch({"tokens": torch.ones(40, 20, dtype=torch.int32)}, torch.zeros(40))
    kept = augmented(given, ("words",), 0, 5).inputs["tokens"].float().mean()
    assert 0.6 < kept < 0.8
    assert augmented(given, ("mixup",), 0, 5).inputs["tokens"].all()
