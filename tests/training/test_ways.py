"""Ways to vary rows are refused where they would do nothing, or something else than they say."""

from __future__ import annotations

import pytest

from nudgenet.errors import SettingError
from nudgenet.records import ImageShape, Shape, SoundShape, TextShape
from nudgenet.settings import Settings
from nudgenet.training.ways import check_augment

TABLE = Shape(2, (3,), 2, 100)
IMAGES = Shape(0, (), 2, 100, image=ImageShape(3, 32, 32, (0.5,) * 3, (0.2,) * 3))
IMAGES_OF_A_MODEL = Shape(0, (), 2, 100, image=ImageShape(3, 32, 32, (0.5,) * 3, (0.2,) * 3, model="{}"))
SOUNDS = Shape(0, (), 2, 100, image=ImageShape(1, 32, 32, (0.5,), (0.2,), medium="sound"))
WAVES = Shape(0, (), 2, 100, sound=SoundShape(1_000, 8_000, "{}", "{}"))
TEXTS = Shape(0, (), 2, 100, text=TextShape("bag", 50, 10))
BOTH = Shape(0, (), 2, 100, image=IMAGES_OF_A_MODEL.image, text=TEXTS.text)


@pytest.mark.parametrize(
    "shape, ways, what",
    [
        (TABLE, "words", "The rows of a table cannot be varied by `words`"),
        (TEXTS, "mixup", "Texts cannot be varied by `mixup`"),
        (IMAGES, "flip,pitch,words", "Images cannot be varied by `pitch`, `words`"),
        (IMAGES_OF_A_MODEL, "pitch", "Images cannot be varied by `pitch`"),
        (SOUNDS, "flip", "Sounds cannot be varied by `flip`"),
        (WAVES, "delay", "Sounds that are heard as waves cannot be varied by `delay`"),
        (BOTH, "words,mixup", "mixed only where they stand alone"),
    ],
)
def test_what_does_not_fit_is_refused(shape: Shape, ways: str, what: str) -> None:
    with pytest.raises(SettingError, match=what):
        check_augment(Settings(augment=ways), shape)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "shape, ways",
    [(TABLE, "none"), (TEXTS, "words"), (IMAGES, "flip,mixup"), (SOUNDS, "delay,crop"), (BOTH, "words,cutout")],
)
def test_what_fits_is_let_through(shape: Shape, ways: str) -> None:
    check_augment(Settings(augment=ways), shape)  # type: ignore[arg-type]
    check_augment(Settings(), shape)
