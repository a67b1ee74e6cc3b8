"""Which ways to vary training rows there are for what a network takes in."""

from __future__ import annotations

from nudgenet.data.augment import MIXES
from nudgenet.errors import SettingError, shorten
from nudgenet.records import Shape
from nudgenet.settings import AUGMENTATIONS, Settings


def check_augment(settings: Settings, shape: Shape) -> None:
    """Raises SettingError if rows are to be varied in a way that would do nothing to them, or cannot be done."""
    ways = settings.augment or ()
    known = AUGMENTATIONS[shape.image.medium] if shape.image else ()
    known += AUGMENTATIONS["text"] if shape.text else ()
    if strange := sorted(set(ways) - set(known)):
        rows = f"{shape.medium.capitalize()}s" if shape.medium else "The rows of a table"
        rows += " that are heard as waves" if shape.sound else ""
        fix = f"Known are: {', '.join(known)}." if known else "Leave `augment` away."
        raise SettingError(f"{rows} cannot be varied by {shorten(strange)}", fix=fix)
    wanted = [way for way in MIXES if way in ways]
    if wanted and (shape.num_numbers or shape.cardinalities or shape.text):
        raise SettingError(
            "Images are mixed only where they stand alone: the other columns of two rows cannot be",
            got=f"augment={','.join(ways)}",
            fix=f"Leave {shorten(wanted)} away.",
        )
