"""The words of messages: what is counted, and what there is to choose from."""

from __future__ import annotations

from collections.abc import Collection
from typing import get_args

import pytest

from nudgenet.errors import SettingError, counted, did_you_mean, shorten
from nudgenet.networks import NETWORKS
from nudgenet.records import ColumnKind
from nudgenet.scoring.metrics import METRICS
from nudgenet.settings import AUGMENTATIONS, make_settings
from nudgenet.training.objectives import OBJECTIVES
from nudgenet.training.optimizers import OPTIMIZERS
from nudgenet.training.schedules import SCHEDULES

WAYS = [way for ways in AUGMENTATIONS.values() for way in ways]
METRIC_NAMES = {name for table in METRICS.values() for name in table}


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 rows have"), (1, "1 row has"), (2, "2 rows have"), (1234, "1,234 rows have")]
)
def test_one_is_singular(count: int, said: str) -> None:
    assert counted(count, "row has", "rows have") == said
    assert counted(count, "epoch") == said.replace("row has", "epoch").replace("rows have", "epochs")


@pytest.mark.parametrize(
    "options", [WAYS, METRIC_NAMES, get_args(ColumnKind), OBJECTIVES, OPTIMIZERS, SCHEDULES, NETWORKS]
)
def test_who_names_none_of_a_settings_values_is_told_all_of_them(options: Collection[str]) -> None:
    fix = did_you_mean("???", options)
    assert fix.startswith("There are: ") and fix.count("`") == 2 * len(options) and "more" not in fix


def test_all_ways_to_vary_rows_are_told() -> None:
    with pytest.raises(SettingError, match="`words`"):
        make_settings(augment="???")


def test_long_lists_are_cut() -> None:
    assert shorten(map(str, range(14))).endswith("`11` and 2 more")
    assert did_you_mean("???", [f"column {index}" for index in range(50)]).endswith(" and 30 more.")
