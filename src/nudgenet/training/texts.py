"""What a training on texts does otherwise than one on tables, where nobody said how: all of it as settings."""

from __future__ import annotations

from typing import Any

from nudgenet.errors import SettingError
from nudgenet.records import Decision, Prepared
from nudgenet.settings import Settings
from nudgenet.training.pretrained import settle_pretrained
from nudgenet.training.ways import check_augment

DEFAULT = "ensemble"  # the network of a table: texts put a bag of terms before it
NETWORK_OF = {"bag": "bag", "sequence": "transformer"}  # how texts are read -> the network that reads them so
WORDS = {
    "bag": ("a bag of weighted terms and an ensemble", "--set network=transformer"),
    "transformer": ("a transformer: attention over the words in their order", "--set network=bag"),
}


def settle_texts(settings: Settings, data: Prepared) -> tuple[Settings, list[Decision]]:
    """The settings with what suits texts filled in where nothing was set; those of a table unchanged.

    Raises:
        SettingError: the network that was asked for takes no texts, or rows cannot be varied in such a way.
    """
    if settings.start_from is not None:
        return settle_pretrained(settings, data)
    check_augment(settings, data.shape)
    text = data.shape.text
    if text is None or data.shape.medium != "text":  # beside images or sounds, see `images.settle`
        return settings, []
    network = NETWORK_OF[text.kind]
    as_set = settings.network == network
    if settings.network != DEFAULT and not as_set:
        raise SettingError(
            f"The network `{settings.network}` takes no texts",
            fix="Leave `network` away, or leave the texts out: --set ignore=COLUMN.",
        )
    habits: dict[str, Any] = {"network": network}
    varied = settings.augment is None
    if varied:
        habits["augment"] = ("words",)
    settings = settings.model_copy(update=habits)
    rows = len(data.train)
    why = {
        "bag": f"{rows:,} training rows: which words a text holds tells nearly all that so many rows can teach",
        "transformer": f"{rows:,} training rows are enough to learn from the order of words",
    }[network]
    what, other = WORDS[network]
    decisions = [Decision("network", what, "as set" if as_set else why, other)]
    if varied:
        decisions.append(varied_texts())
    return settings, decisions


def varied_texts() -> Decision:
    """What is done to texts in training, in words."""
    why = "in each step other terms are left out of a text at random, so no answer hangs on a single word"
    return Decision("varied texts", "words", why, "--set augment=none")
