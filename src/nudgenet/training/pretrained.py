"""A start from a pretrained network: its features first, then its own knobs, where rows suffice.

For the first epochs the trunk stays as it is: what it says of every row is computed once, and only the outputs learn.
Then it is trained, too, with rates that fall from layer to layer: what lies deep is about language, and right already.
The best epoch of both is kept, so training the trunk must show on the validation rows that it helps.
Sources: Howard & Ruder, ULMFiT, arXiv 1801.06146 (rates by layer); Kumar et al., arXiv 2202.10054 (outputs first).
"""

from __future__ import annotations

from dataclasses import replace

import torch

from nudgenet.errors import SettingError
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.records import Decision, Part, Prepared
from nudgenet.settings import Settings
from nudgenet.training.state import State

FEWEST_ROWS = 2_000  # training rows from which on the trunk is trained, too; with 524 it brought nothing (LOG.md)


def settle_pretrained(settings: Settings, data: Prepared) -> tuple[Settings, list[Decision]]:
    """The settings with what suits a pretrained start filled in where nothing was set; others unchanged.

    Raises:
        SettingError: there is nothing that a pretrained network could read.
    """
    if settings.start_from is None:
        return settings, []
    if data.shape.text is None:
        raise SettingError(
            "A pretrained start is for texts, and there is no column of free text",
            fix="Leave --from away, or name the column: --set kinds=COLUMN:text.",
        )
    rows = len(data.train)
    unfreeze = settings.unfreeze if settings.unfreeze is not None else rows >= FEWEST_ROWS
    settings = settings.model_copy(update={"network": "pretrained", "augment": (), "unfreeze": unfreeze})
    if unfreeze:
        chosen, other = "outputs first, then all of it, the deeper the slower", "--set unfreeze=false"
        why = f"{rows:,} training rows can teach it more, and the validation rows tell whether that helped"
    else:
        chosen, other = "as it is, only the outputs learn", "--set unfreeze=true"
        why = f"{rows:,} training rows are too few to change millions of knobs with"
    return settings, [Decision("pretrained network", f"{settings.start_from}: {chosen}", why, other)]


def read_ahead(state: State, data: Prepared) -> Prepared:
    """The data with what the trunk says of every training and validation row, as long as it stays as it is."""
    network = state.network
    if not isinstance(network, PretrainedNetwork) or state.epoch >= state.plan.frozen_epochs:
        return data
    network.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=state.plan.precision == "bfloat16"):
        train, validation = (with_features(network, part) for part in (data.train, data.validation))
    return replace(data, train=train, validation=validation)


def with_features(network: PretrainedNetwork, part: Part) -> Part:
    """A part with the input "features": see `PretrainedNetwork`."""
    return replace(part, inputs={**part.inputs, "features": network.read(part.inputs["tokens"])})
