"""How convolutions learn from images where nobody said how: fresh ones, and small ones of ours once images are many."""

from __future__ import annotations

from typing import Any

from nudgenet.records import Decision, Prepared
from nudgenet.settings import Settings
from nudgenet.training.mirrored import may_be_mirrored

LABEL_SMOOTHING = 0.1  # of classes, for whatever is looked at or listened to


def settle_images(settings: Settings, data: Prepared, why_muon: str) -> tuple[Settings, list[Decision]]:
    """The settings with Muon, softened targets and varied images filled in where nothing was set.

    Args:
        why_muon: what speaks for Muon here.
    """
    given = settings.model_fields_set
    habits: dict[str, Any] = {"optimizer": "muon"}
    habits |= {"label_smoothing": LABEL_SMOOTHING} if data.task.classes else {}
    habits = {name: value for name, value in habits.items() if name not in given}
    decisions = []
    if "optimizer" in habits:
        chosen = "Muon for convolutions, AdamW for the rest"
        decisions.append(Decision("optimizer", chosen, why_muon, "--set optimizer=adamw"))
    if settings.augment is None:
        habits["augment"], decision = choose_augmentation(settings, data)
        decisions.append(decision)
    return settings.model_copy(update=habits), decisions


def choose_augmentation(settings: Settings, data: Prepared) -> tuple[tuple[str, ...], Decision]:
    """Shifts for all images, cut-outs and colour for photographs, flips where a probe shows no harm."""
    image = data.shape.image
    assert image is not None
    ways = ["shift"]
    if min(image.height, image.width) >= 24:
        ways.append("cutout")
    if image.channels == 3:
        ways.append("colour")
    harmless, why = may_be_mirrored(data, settings.seed)
    ways = ["flip", *ways] if harmless else ways
    fewer = "shift" if ways == ["flip", "shift"] else "flip,shift"
    return tuple(ways), Decision("varied images", ", ".join(ways), why, f"--set augment=none, --set augment={fewer}")
