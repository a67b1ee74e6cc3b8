"""Train, validation and test: which rows the network learns from, tunes on, and is judged by.

Rows are dealt out in units that must stay together: rows that are identical, or rows of one group.
A unit never lies in two parts, so nothing that was learned by heart can pass for understanding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nudgenet.data.cells import parse_dates, parse_levels, parse_numbers
from nudgenet.data.columns import encode_target
from nudgenet.data.kinds import look
from nudgenet.data.media import intact
from nudgenet.data.units import content_keys, feature_names, group_keys, numbered, row_hashes
from nudgenet.errors import ColumnError, SettingError, SourceError, counted, did_you_mean
from nudgenet.records import CellFormat, Decision, Parts, Raw, Task
from nudgenet.settings import Settings

MIN_ROWS = 10  # fewer rows than this cannot be divided in three and still say anything
RANDOM_STREAM = 0x5EED5  # keeps the split's random numbers apart from every other use of the seed
TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True)
class _Dealt:
    """How rows were dealt out: `part_of` every row (TRAIN, VALIDATION or TEST), and the story of it."""

    part_of: np.ndarray
    why: str
    warnings: tuple[str, ...] = ()


def split(
    raw: Raw, task: Task, settings: Settings, *, num_given_test_rows: int = 0, with_test: bool = True
) -> tuple[Parts, list[Decision], list[str]]:
    """Deal the rows out to train, validation and test.

    Args:
        raw: the rows; the last `num_given_test_rows` came from a given test source and are the test part.
        task: what is predicted; rows without a usable target are in no part (`choose_task` warns about them).
        settings: shares, `group`, `time`, `ignore` and `seed`.
        num_given_test_rows: 0 when a test part is to be carved from the rows themselves.
        with_test: False leaves the test part empty, for a caller who holds out rows of its own.

    Returns:
        The parts, the decisions, and warnings that count.

    Raises:
        SourceError: too few rows with a target.
        ColumnError: `group` or `time` is absent or cannot be used, or the target never changes.
        SettingError: `group` and `time` together.
    """
    _check_settings(raw, task, settings)
    targets, usable = encode_target(raw.table.column(task.target), task)
    first_test = raw.table.num_rows - num_given_test_rows
    num_own = first_test - raw.given_validation
    rows = np.flatnonzero(usable & intact(raw.table))
    own, given = rows[rows < num_own], rows[rows >= first_test]
    given_validation = rows[(rows >= num_own) & (rows < first_test)]
    del rows  # of millions, each such array counts: here most of a large table is in memory
    _check_enough(own, given, targets, task, num_given_test_rows)

    held_out = (
        0.0 if raw.given_validation else settings.validation_share,
        settings.test_share if with_test and not num_given_test_rows else 0.0,
    )
    rng = np.random.Generator(np.random.PCG64([settings.seed, RANDOM_STREAM]))
    if not any(held_out):
        dealt = _Dealt(np.full(len(own), TRAIN), "")
    elif settings.time is not None:
        dealt = _deal_by_time(raw, own, held_out, settings)
    else:
        table = raw.table.slice(0, num_own)
        dealt = _deal_by_unit(table, task, own, targets[own], held_out, rng, settings)
    parts = Parts(
        own[dealt.part_of == TRAIN],
        given_validation if raw.given_validation else own[dealt.part_of == VALIDATION],
        given if num_given_test_rows else own[dealt.part_of == TEST],
    )
    warnings = list(dealt.warnings)
    if num_given_test_rows:
        warnings += _shared_rows(raw, task, np.concatenate([own, given_validation]), given, settings)
    if raw.given_validation:
        warnings += _shared_rows(raw, task, own, given_validation, settings, part="validation")
    warnings += _check_classes(parts, targets, task)
    return parts, [_decision(parts, dealt.why, raw, num_given_test_rows, settings, with_test)], warnings


# --- dealing by unit ------------------------------------------------------------------------------


def _deal_by_unit(
    table: pa.Table,
    task: Task,
    rows: np.ndarray,
    targets: np.ndarray,
    held_out: tuple[float, float],
    rng: np.random.Generator,
    settings: Settings,
) -> _Dealt:
    """Stratified dealing in which identical rows, or the rows of one group, stay together."""
    if not held_out[0]:  # the validation part was given: only a test part is carved
        dealt = _deal_by_unit(table, task, rows, targets, (held_out[1], 0.0), rng, settings)
        return replace(dealt, part_of=np.where(dealt.part_of == VALIDATION, TEST, dealt.part_of))
    warnings: list[str] = []
    if settings.group is not None:
        content = content_keys(table, task, settings)[rows]
        units = numbered(group_keys(table.column(settings.group).take(rows), content))
        num_parts = 3 if held_out[1] else 2
        if units.max() + 1 < num_parts:
            raise ColumnError(
                f"The group column `{settings.group}` must have at least {num_parts} different values",
                got=f"{units.max() + 1}",
                fix="Choose another column with --set group=COLUMN, or leave it out.",
            )
        why = f"no `{settings.group}` is in two parts ({units.max() + 1:,} groups)"
    else:
        units = numbered(content_keys(table, task, settings)[rows])
        num_units = int(units.max()) + 1
        why = "identical rows stay together" if num_units < len(rows) else "no two rows are identical"
        if num_units < MIN_ROWS:
            warnings.append(
                f"Only {num_units} different rows of features among {len(rows):,}: "
                "identical rows could not be kept in one part, so the scores may flatter"
            )
            units = np.arange(len(rows))
    strata = _strata(units, targets, task)
    sizes = np.bincount(units)
    part_of_unit = assign_units(sizes, strata, held_out, rng, spread=bool(task.classes))
    if task.classes:
        part_of_unit = _bring_classes_to_train(part_of_unit, units, targets)
        why = f"every class in like shares, {why}"
    else:
        why = f"small and large `{task.target}` in like shares, {why}"
    part_of = part_of_unit[units]
    if settings.group is not None:
        num_shared = int(np.isin(content[part_of != TRAIN], content[part_of == TRAIN]).sum())
        if num_shared:
            rows_are = counted(num_shared, "validation or test row is", "validation or test rows are")
            warnings.append(f"{rows_are} identical to a training row of another `{settings.group}`")
    return _Dealt(part_of, f"drawn at random with seed {settings.seed}, {why}", tuple(warnings))


def assign_units(
    sizes: np.ndarray, strata: np.ndarray, held_out: tuple[float, float], rng: np.random.Generator, *, spread: bool
) -> np.ndarray:
    """The part of every unit: each stratum is shared out in proportion.

    Args:
        sizes: int64 (units,), rows in each unit.
        strata: int32 or int64 (units,), the stratum of each unit, 0 ... S-1.
        held_out: the shares of validation and test; 0.0 where there is no such part.
        spread: a stratum is a class: even a small one should be seen in every part.

    Returns:
        int8 (units,): TRAIN, VALIDATION or TEST.
    """
    num_strata = int(strata.max()) + 1
    rows_in = np.bincount(strata, weights=sizes, minlength=num_strata)
    validation = _quotas(rows_in, held_out[0], rng)
    test = _quotas(rows_in, held_out[1], rng)

    # Units so large that they would upset a held-out part come first, and the first go to train.
    small_share = min(share for share in held_out if share)
    largest_first = np.where(sizes > max(1.0, 0.25 * small_share * sizes.sum()), -sizes, 0)
    order = np.lexsort((rng.permutation(len(sizes)), largest_first, strata))
    del largest_first
    stratum, size = strata[order], sizes[order]
    first = np.searchsorted(stratum, np.arange(num_strata))
    last = np.searchsorted(stratum, np.arange(num_strata), side="right") - 1
    present = last >= first
    middle = size / 2  # of each unit, in rows of its stratum; in place, because there may be as many units as rows
    middle += np.cumsum(size)
    middle -= size
    ahead = np.minimum(first, len(size) - 1)
    middle -= (middle[ahead] - size[ahead] / 2)[stratum]
    # One unit may be larger than train's whole share: then the others share what it leaves.
    train_end = np.maximum(rows_in - validation - test, size[np.minimum(first, len(size) - 1)])
    rest = (rows_in - train_end) / np.maximum(validation + test, 1)
    validation_end = train_end + rest * validation
    part = np.full(len(size), TEST, np.int8)
    part[middle <= validation_end[stratum]] = VALIDATION
    part[middle <= train_end[stratum]] = TRAIN
    del middle

    if spread:
        _spread_small(part, first[present], last[present], both=held_out[1] > 0, rng=rng)
    _fill_empty(part, stratum, size, both=held_out[1] > 0)
    result = np.empty_like(part)
    result[order] = part
    return result


def _quotas(rows_in: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """How many rows of each stratum a part gets: whole numbers, in proportion (largest remainders)."""
    exact = rows_in * share
    quotas = np.floor(exact)
    num_more = round(float(exact.sum() - quotas.sum()))
    by_remainder = np.lexsort((rng.random(len(exact)), -(exact - quotas)))
    quotas[by_remainder[:num_more]] += 1
    return quotas


def _spread_small(
    part: np.ndarray, first: np.ndarray, last: np.ndarray, *, both: bool, rng: np.random.Generator
) -> None:
    """Give even a small class a place in each part, in place; a class of one unit is for train.

    `part` is ordered by stratum; stratum i is `part[first[i] : last[i] + 1]`.
    """
    num_units = last - first + 1
    has = {which: np.add.reduceat((part == which).astype(np.int64), first) > 0 for which in (TRAIN, VALIDATION, TEST)}
    part[first] = TRAIN  # the first unit of a stratum is always train's
    if both:
        part[last[(num_units >= 3) & ~has[TEST]]] = TEST
        part[last[(num_units >= 3) & ~has[VALIDATION]] - 1] = VALIDATION
        pairs = last[num_units == 2]
        part[pairs] = np.where(rng.random(len(pairs)) < 0.5, VALIDATION, TEST)
    else:
        part[last[(num_units >= 2) & ~has[VALIDATION]]] = VALIDATION


def _fill_empty(part: np.ndarray, stratum: np.ndarray, size: np.ndarray, *, both: bool) -> None:
    """See that each part has a row (validation two, if it can), in place: take train's smallest units."""
    for which, wanted in ((TEST, 1), (VALIDATION, 2)) if both else ((VALIDATION, 2),):
        while size[part == which].sum() < wanted and (part == TRAIN).sum() > 1:
            in_train = np.flatnonzero(part == TRAIN)
            siblings = np.bincount(stratum[in_train])[stratum[in_train]]
            if size[part == which].sum() and siblings.max() < 2:
                break  # a second validation row is not worth a class that train would lose
            part[in_train[np.lexsort((-siblings, size[in_train], siblings < 2))[0]]] = which


def _bring_classes_to_train(part_of_unit: np.ndarray, units: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Move a unit to train for each class that only the other parts hold, where they can spare one."""
    part_of_unit = part_of_unit.copy()
    for missing in np.setdiff1d(targets, targets[part_of_unit[units] == TRAIN]):
        for unit in np.unique(units[targets == missing]):
            if (part_of_unit == part_of_unit[unit]).sum() > 1:
                part_of_unit[unit] = TRAIN
                break
    return part_of_unit


def _strata(units: np.ndarray, targets: np.ndarray, task: Task) -> np.ndarray:
    """The stratum of every unit: its commonest class, or the quantile bin of its mean target."""
    num_units = int(units.max()) + 1
    if task.classes:
        strata = np.empty(num_units, np.int64)
        if num_units == len(units):  # each row stands for itself: there may be millions, and nothing to count
            strata[units] = targets
        else:
            pairs, counts = np.unique(units * len(task.classes) + targets, return_counts=True)
            unit, label = pairs // len(task.classes), pairs % len(task.classes)
            order = np.lexsort((-label, counts, unit))  # the last of each unit is its commonest class
            strata[unit[order]] = label[order]
        numbers: np.ndarray = np.cumsum(np.bincount(strata) > 0, dtype=np.int32) - 1
        return numbers[strata]
    means = np.bincount(units, weights=targets) / np.bincount(units)
    num_bins = max(1, min(10, num_units // 20))
    ranks = np.empty(num_units, np.int64)
    ranks[np.argsort(means, kind="stable")] = np.arange(num_units)
    return ranks * num_bins // num_units


# --- what stays together --------------------------------------------------------------------------


def _shared_rows(
    raw: Raw, task: Task, own: np.ndarray, given: np.ndarray, settings: Settings, part: str = "test"
) -> list[str]:
    """Warnings about rows of a given part that stand among the other rows, too."""
    warnings = []
    hashes = row_hashes(raw.table, feature_names(raw.table, task, settings))
    if num_shared := int(np.isin(hashes[given], hashes[own]).sum()):
        rows_are = counted(num_shared, "row is", "rows are")
        warnings.append(
            f"{rows_are} in the {part} source and also, identical, among the rows to learn from: "
            f"the {part} score may flatter"
        )
    if settings.group is not None:
        groups = parse_levels(raw.table.column(settings.group), CellFormat())
        in_given, in_own = (pc.unique(groups.take(pa.array(part)).drop_null()) for part in (given, own))
        if num_shared := pc.sum(pc.is_in(in_given, value_set=in_own)).as_py():
            values_are = counted(num_shared, f"`{settings.group}` value is", f"`{settings.group}` values are")
            warnings.append(f"{values_are} in the {part} source and also among the rows to learn from")
    return warnings


# --- dealing by time ------------------------------------------------------------------------------


def _deal_by_time(raw: Raw, rows: np.ndarray, held_out: tuple[float, float], settings: Settings) -> _Dealt:
    """The past trains, then comes validation, the future tests; equal times stay together."""
    assert settings.time is not None
    when, known = _times(raw, rows, settings)
    distinct, inverse, counts = np.unique(when[known], return_inverse=True, return_counts=True)
    num_parts = 3 if held_out[1] else 2
    if len(distinct) < num_parts:
        raise ColumnError(
            f"The time column `{settings.time}` must have at least {num_parts} different times",
            got=f"{len(distinct)}",
            fix="Choose another column with --set time=COLUMN, or leave it out.",
        )
    ends = np.cumsum(counts) + (~known).sum()  # rows in train if it ends after each distinct time
    num_train = len(rows) * (1 - sum(held_out))
    last = int(np.abs(ends[: len(ends) - num_parts + 1] - num_train).argmin())
    part_of_time = np.where(np.arange(len(distinct)) <= last, TRAIN, VALIDATION)
    if num_parts == 3:
        candidates = ends[last + 1 : -1]
        validation_last = last + 1 + int(np.abs(candidates - len(rows) * (1 - held_out[1])).argmin())
        part_of_time[validation_last + 1 :] = TEST
    part_of = np.full(len(rows), TRAIN)
    part_of[known] = part_of_time[inverse]
    warnings = []
    if num_unknown := int((~known).sum()):
        rows_have = counted(num_unknown, "row has", "rows have")
        warnings.append(f"{rows_have} no usable `{settings.time}`: put into the training part")
    later = "validation and test are later" if num_parts == 3 else "validation is later"
    return _Dealt(part_of, f"by `{settings.time}`: train is the past, {later}", tuple(warnings))


def _times(raw: Raw, rows: np.ndarray, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """(float64 or datetime64 (rows,), bool mask of rows whose time is known)."""
    assert settings.time is not None
    cells = raw.table.column(settings.time).take(rows)
    column = look(settings.time, cells, rows).column
    dates, _ = parse_dates(cells, column.format)
    numbers, _ = parse_numbers(cells, column.format)
    by_date = column.kind == "date" or (~np.isnat(dates)).sum() > np.isfinite(numbers).sum()
    when, known = (dates, ~np.isnat(dates)) if by_date else (numbers, np.isfinite(numbers))
    if known.sum() < 0.5 * len(rows):
        example = next((str(cell) for cell in cells.drop_null().slice(0, 1).to_pylist()), "nothing")
        raise ColumnError(
            f"The time column `{settings.time}` must hold dates or numbers",
            got=f"{example!r}, for example",
            fix="Choose another column with --set time=COLUMN.",
        )
    return when, known


# --- checks and words -----------------------------------------------------------------------------


def _check_settings(raw: Raw, task: Task, settings: Settings) -> None:
    if settings.group is not None and settings.time is not None:
        raise SettingError(
            "`group` and `time` cannot both decide the split",
            got=f"group={settings.group}, time={settings.time}",
            fix="Set one of them.",
        )
    for setting, name in (("group", settings.group), ("time", settings.time)):
        if name is None:
            continue
        if name not in raw.table.column_names:
            fix = did_you_mean(name, [other for other in raw.table.column_names if other != task.target])
            raise ColumnError(f"There is no column `{name}` to split by", got=f"{setting}={name}", fix=fix)
        if name == task.target:
            raise ColumnError(
                f"`{name}` is the target and cannot be the {setting} column too", fix="Choose another column."
            )


def _check_enough(
    own: np.ndarray, given: np.ndarray, targets: np.ndarray, task: Task, num_given_test_rows: int
) -> None:
    if not len(own):
        raise ColumnError(f"No row has a usable `{task.target}`", fix="Choose another column with --target.")
    if len(own) < MIN_ROWS:
        raise SourceError(
            f"At least {MIN_ROWS} rows with a `{task.target}` are needed to learn anything",
            got=f"{len(own)}",
            fix="Give more rows.",
        )
    if num_given_test_rows and not len(given):
        raise ColumnError(f"No row of the test source has a usable `{task.target}`", fix="Give another --test source.")
    values = np.unique(targets[own])
    if len(values) < 2:
        value = task.classes[int(values[0])] if task.classes else f"{values[0]:g}"
        raise ColumnError(
            f"`{task.target}` is the same in every row, so there is nothing to learn",
            got=repr(value),
            fix="Choose another column with --target.",
        )


def _check_classes(parts: Parts, targets: np.ndarray, task: Task) -> list[str]:
    """Train must hold something to tell apart; a class that it lacks is named."""
    trained = np.unique(targets[parts.train])
    if len(trained) < 2:
        raise ColumnError(
            f"`{task.target}` is the same in every training row once the rows are split",
            got=f"{len(parts.train):,} training rows",
            fix="Split otherwise: change --set group=COLUMN or --set time=COLUMN, or give more rows.",
        )
    warnings = []
    if task.classes:
        for name, rows in (("validation", parts.validation), ("test", parts.test)):
            absent, counts = np.unique(targets[rows], return_counts=True)
            for label, count in zip(absent, counts, strict=True):
                if label not in trained:
                    rows_are = counted(int(count), f"{name} row is", f"{name} rows are")
                    warnings.append(f"{rows_are} of the class {task.classes[label]!r}, which no training row has")
    return warnings


def _decision(
    parts: Parts, why: str, raw: Raw, num_given_test_rows: int, settings: Settings, with_test: bool
) -> Decision:
    sizes = [len(part) for part in (parts.train, parts.validation, parts.test)]
    percent = [f"{100 * share:.3g}%" for share in (settings.validation_share, settings.test_share)]
    if raw.given_validation and num_given_test_rows:
        why = "the source says which rows are for what"
    elif raw.given_validation:
        why = f"the source names the validation rows; {percent[1]} of the others for test, {why}"
    elif num_given_test_rows:
        why = f"the test source is the test part; {percent[0]} of the other rows for validation, {why}"
    elif not with_test:
        why = f"{percent[0]} for validation and none for test, {why}"
    else:
        why = f"{percent[0]} for validation and {percent[1]} for test, {why}"
    chosen = " / ".join(f"{size:,}" for size in sizes) + " rows to train / validate / test"
    others = [
        f"--set {name}={0.3 if share == 0.2 else 0.2}"
        for name, share in (("validation_share", settings.validation_share), ("test_share", settings.test_share))
    ]
    return Decision("split", chosen, why, ", ".join([*others, "--set group=COLUMN", "--set time=COLUMN"]))
