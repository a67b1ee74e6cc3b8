"""An earlier run on a table as a start: rows are prepared as it prepared its own, for its network knows no other inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nudgenet.data.columns import as_set
from nudgenet.data.features import CategoryFeature, DateFeature, Feature, NumberFeature
from nudgenet.data.oddities import Oddities
from nudgenet.data.texts import TextFeature
from nudgenet.errors import SettingError, shorten
from nudgenet.models import find_model
from nudgenet.records import Column, Decision, Raw, Task
from nudgenet.settings import Settings

HOLDING_NOTHING = ("constant", "empty")  # such a column cannot differ from what it was


def is_from_table(settings: Settings) -> bool:
    """Whether the start is an earlier run on a table."""
    return settings.start_from is not None and find_model(settings.start_from).medium == "table"


def as_prepared_before(
    features: Sequence[Feature], raw: Raw, columns: Sequence[Column], task: Task, settings: Settings
) -> list[Decision]:
    """Says that columns are prepared as an earlier run's features prepare them, if they are the same columns.

    Raises:
        SettingError: the two runs do not learn from the same columns, or one is of another kind now.
    """
    wanted = [feature.column for feature in features]
    absent = [name for name in wanted if name not in raw.table.column_names or name == task.target]
    new = [column.name for column in columns if column.used and column.name not in wanted]
    if absent or new:
        found = [f"{what}: {shorten(names)}" for what, names in (("not here", absent), ("new", new)) if names]
        fix = f"Leave --from away, or --set ignore={','.join(new)}." if new and not absent else "Leave --from away."
        raise SettingError("The run to start from learned from other columns", got="; ".join(found), fix=fix)
    for setting, names in (("ignore", settings.ignore), ("group", (settings.group,))):
        if apart := [name for name in wanted if name in names]:
            raise SettingError(
                f"The run to start from learned from columns that `{setting}` keeps from the network now",
                got=f"{setting}={','.join(apart)}", fix=f"Leave --from away, or `{setting}`.",
            )  # fmt: skip
    now = {column.name: column.kind for column in columns}
    for feature in features:
        before, kind = "text" if isinstance(feature, TextFeature) else feature.kind, now[feature.column]
        if kind not in HOLDING_NOTHING and {"yes_no": "category"}.get(kind, kind) != before:
            raise SettingError(
                f"In the run to start from `{feature.column}` was another kind of column",
                got=f"{before} there, {kind} here",
                fix=f"Leave --from away, or say that it is the same: {as_set(f'kinds={feature.column}:{before}')}.",
            )
    chosen = f"as in {settings.start_from}, with its means, levels and words"
    why = "its network knows no other inputs, whatever the columns look like here"
    return [Decision("preparation of the columns", chosen, why, "run without --from")]


def unlike_before(features: Sequence[Feature], raw: Raw, rows: np.ndarray) -> list[str]:
    """What is odd about training rows for features that an earlier run learned, in words.

    Args:
        rows: their numbers in `raw`.

    Raises:
        ColumnError: more than 5 % of a column's cells are not what it held there.
    """
    found = Oddities()
    for feature in features:
        cells = raw.table.column(feature.column)
        if isinstance(feature, CategoryFeature):
            found.note_levels(feature, feature.encode(cells.take(rows))[1])
        elif isinstance(feature, NumberFeature | DateFeature):
            values, bad = feature.parse(cells.take(rows))
            bad_rows = np.zeros(len(cells), bool)  # so that the first is named by its place in the table
            bad_rows[rows] = bad
            found.note_cells(feature, cells, values, bad_rows)
    found.num_rows = len(rows)
    return [f"Compared with the run to start from: {words}" for words in found.in_words()]
