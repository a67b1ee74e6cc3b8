"""How a text file is laid out: what stands between cells, what quotes them, where the table begins, what names the columns.

Everything here looks at a sample (the first few hundred kilobytes) and is decided by rules that can be
told in one sentence, because each of them is shown to the user and can be overridden.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

SAMPLE_CHARACTERS = 300_000
SAMPLE_ROWS = 1_000
BLANKS = " "  # the delimiter of a file whose cells stand apart by any number of blanks and tabs
USUAL = (",", ";", "\t", "|")
UNUSUAL = ("\x01", "\x1f", "\x02", "~", "^", ":")
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", BLANKS: "blanks", "": "none (one column)"}

_NUMBER = re.compile(
    r"[-+(]*[$€£¥]?\s?[-+]?(\d[\d.,' \u00a0]*|\.\d+)([eE][-+]?\d+)?\s?[%)€]?\.?|[-+]?(inf|nan)", re.IGNORECASE
)
_DATE = re.compile(
    r"\d{1,4}([-/._])\d{1,2}\1\d{1,4}([T ].*)?|\d{1,2}[- ][A-Za-z]{3,9}[- ]\d{2,4}.*|\d{1,2}:\d{2}(:\d{2})?"
)
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-", "--", ".", "..", "#n/a", "*", "\\n"})
_COMMENT = ("#", "%", "//")

Row = tuple[int, list[str]]  # the number of the line that it ends on (from 1), and its cells


@dataclass(frozen=True)
class Dialect:
    """The layout of a text file."""

    delimiter: str  # "" if there is one column
    quote: str  # "" if nothing is quoted
    escape: str  # "\\" if quotes inside quotes are escaped by it; "" if they are doubled
    width: int  # number of columns
    first_line: int  # the number (from 0) of the first line below preamble and header
    names: tuple[str, ...]  # as they stand in the header; () if there is none
    has_header: bool
    why_header: str
    header_rows: int = 0
    preamble: tuple[str, ...] = ()  # the lines above the table

    @property
    def delimiter_name(self) -> str:
        """The delimiter in a word."""
        return NAMES.get(self.delimiter, repr(self.delimiter))


def take_sample(data: bytes) -> str:
    """The start of a file, cut at a line's end."""
    sample = data[:SAMPLE_CHARACTERS]
    if len(data) > len(sample):
        sample = sample[: sample.rfind(b"\n") + 1] or sample
    return sample.decode("utf-8", errors="replace")


def sniff(sample: str, *, header: bool | None = None, columns: Sequence[str] | None = None) -> Dialect:
    """The layout of a text file, from its sample.

    Args:
        sample: the start of the file; UTF-8, lines end with "\\n".
        header: the user's word on whether the first line names the columns; None to find out.
        columns: the names that the training data had, when predicting.
    """
    delimiter, quote, escape = find_delimiter(sample)
    rows = split_rows(sample, delimiter, quote, escape)
    return replace(sniff_rows(rows, header=header, columns=columns), delimiter=delimiter, quote=quote, escape=escape)


def sniff_rows(rows: list[Row], *, header: bool | None = None, columns: Sequence[str] | None = None) -> Dialect:
    """Where the table begins and what names its columns, from rows that are already split into cells."""
    width = _width(rows)
    start, named_by_comment = _table_start(rows, width)
    preamble = tuple(" ".join(cells).strip() for _, cells in rows[:start])
    table = rows[start:]
    if named_by_comment:
        table[0] = (table[0][0], [table[0][1][0].lstrip("#% "), *table[0][1][1:]])
    line_above = rows[start - 1][0] if start else 0
    dialect = Dialect("", "", "", width, line_above, (), False, "", preamble=preamble)
    return _with_header(dialect, table, header, columns)


# ------------------------------------------------------------------ what stands between cells


def find_delimiter(sample: str) -> tuple[str, str, str]:
    """(delimiter, quote, escape) under which the lines agree best on a number of clean cells."""
    best: tuple[float, tuple[str, str, str]] = (0.0, ("", '"', ""))
    for candidates, least in ((USUAL, 0.0), ((BLANKS,), 0.0), (UNUSUAL, 0.75)):
        for delimiter in candidates:
            if delimiter not in sample and not (delimiter == BLANKS and "\t" in sample):
                continue
            score, quote, escape = _best_quote(sample, delimiter)
            if score > max(best[0] * 1.02, least):
                best = (score, (delimiter, quote, escape))
    if best[0] < 0.35:  # the lines do not agree: every line is one cell
        return "", '"' if re.search(r'^".*"$', sample, re.MULTILINE) else "", ""
    return best[1]


def _best_quote(sample: str, delimiter: str) -> tuple[float, str, str]:
    """The best way of quoting for one delimiter; double quotes unless another way is clearly better."""
    options = [('"', "")]
    if '\\"' in sample:
        options.append(('"', "\\"))
    if re.search(rf"(^|{re.escape(delimiter)})\s*'", sample, re.MULTILINE):
        options.append(("'", ""))
    if '"' in sample:
        options.append(("", ""))
    scored = []
    for quote, escape in options:
        rows = split_rows(sample, delimiter, quote, escape)
        scored.append((*_score(rows, delimiter), quote, escape))
    best = scored[0]
    for other in scored[1:]:
        # An unclosed quote swallows many lines in one cell: more full rows is the better reading.
        if other[0] > best[0] + 0.02 and other[1] > best[1]:
            best = other
    return best[0], best[2], best[3]


def _score(rows: Sequence[Row], delimiter: str) -> tuple[float, int]:
    """(how good a reading it is, from 0 to 1; number of rows that have the usual number of cells)."""
    rows = [row for row in rows if any(cell.strip() for cell in row[1]) and not row[1][0].startswith(_COMMENT)]
    counts = Counter(len(cells) for _, cells in rows)
    width, num_full = max(counts.items(), key=lambda item: (item[1] * (item[0] > 1), item[0]), default=(1, 0))
    if width < 2:
        return 0.0, 0
    consistency = num_full / len(rows)
    others = set(USUAL) - {delimiter}
    cells = [cell.strip() for _, row in rows[1:200] if len(row) == width for cell in row[:100]]
    clean = sum(1.0 if _is_number(cell) else 0.3 if any(other in cell for other in others) else 0.9 for cell in cells)
    quality = clean / len(cells) if cells else 0.9
    if delimiter == BLANKS or delimiter in UNUSUAL:
        num_numbers = sum(_is_number(cell) or cell.lower() in _MISSING for cell in cells)
        # Words stand apart by blanks in every text: only lines of mostly numbers are a table.
        if (num_numbers < 0.4 * len(cells) and delimiter in (BLANKS, ":", "^", "~")) or consistency < 0.6:
            return 0.0, 0
        quality *= 0.95
    return consistency * quality * (1 - 0.2 / width), num_full


def split_rows(sample: str, delimiter: str, quote: str, escape: str = "") -> list[Row]:
    """The sample's rows (blank lines left out), at most `SAMPLE_ROWS`."""
    lines = sample.split("\n")
    if delimiter == BLANKS:
        lines = [re.sub(r"[ \t]+", " ", line).strip() for line in lines]
    if not delimiter and not quote:
        return [(i + 1, [line]) for i, line in enumerate(lines[:SAMPLE_ROWS]) if line.strip()]
    reader = csv.reader(
        (line + "\n" for line in lines),
        delimiter=delimiter or "\x00",
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        escapechar=escape or None,
        doublequote=not escape,
        skipinitialspace=True,
    )
    rows: list[Row] = []
    try:
        for cells in reader:
            if cells and (len(cells) > 1 or cells[0].strip()):
                rows.append((reader.line_num, cells))
            if len(rows) >= SAMPLE_ROWS:
                break
    except csv.Error:  # a cell of more than 128 kB: an unclosed quote
        return rows
    return rows


def _width(rows: Sequence[Row]) -> int:
    """The number of columns: the largest count of cells that at least 5 % of the rows have, or the header's."""
    counts = Counter(len(cells) for _, cells in rows)
    usual = [count for count, times in counts.items() if times >= max(2, 0.05 * len(rows))]
    width = max(usual or counts or [1])
    first = next((cells for _, cells in rows if len(cells) >= width > 1), [])
    return max(width, len(first)) if all(cell.strip() for cell in first) else width


# ------------------------------------------------------------------ where the table begins


def _table_start(rows: Sequence[Row], width: int) -> tuple[int, bool]:
    """(index of the first row of the table, whether that row is a comment line that names the columns)."""
    start = 0
    for start, (_, cells) in enumerate(rows):
        below = rows[start + 1][1] if start + 1 < len(rows) else []
        if cells[0].lstrip().startswith(_COMMENT):
            ends = not below or not below[0].lstrip().startswith(_COMMENT)
            whole = len(cells) == width > 1 and all(cell.strip() for cell in cells)
            if ends and whole and len(below) == width and not any(map(_is_number, cells)):
                return start, True
            continue
        num_filled = sum(bool(cell.strip()) for cell in cells)
        few = num_filled <= 1 or (num_filled <= width // 3 and len(cells) < width)
        titles = width > 1 and few and not any(map(_is_number, cells))
        if not (titles and len(rows) - start > 2):
            break
    else:
        start = 0  # nothing but comments: they are the table
    return start, False


# ------------------------------------------------------------------ what names the columns


def _with_header(dialect: Dialect, table: list[Row], header: bool | None, columns: Sequence[str] | None) -> Dialect:
    """The dialect, with the question of the header answered."""
    if not table:
        return dialect
    first, body = table[0][1], [cells for _, cells in table[1:]]
    if header is not None:
        found, why = header, "you said so"
    elif columns is not None and (known := _matches(first, columns)) is not None:
        found, why = known
    else:
        found, why = looks_like_header(first, body)
    if not found:
        return replace(dialect, why_header=why)
    num_rows = 2 if header is None and has_second_header(first, body) else 1
    names = _join_headers(first, body[0], dialect.width) if num_rows == 2 else list(first)
    if len(names) == dialect.width - 1 and all(name.strip() for name in names):
        names.insert(0, "")  # R leaves out the name of the column of row names
    return replace(
        dialect, names=tuple(names), has_header=True, why_header=why, header_rows=num_rows,
        first_line=table[num_rows - 1][0],
    )  # fmt: skip


def _matches(first: Sequence[str], columns: Sequence[str]) -> tuple[bool, str] | None:
    """The header's answer from the training data's names; None if they say nothing."""
    known = {name.strip().lower() for name in columns}
    shared = [name for name in first if clean_name(name).lower() in known]
    if shared:
        return True, "the first line holds names of the training data"
    if all(re.fullmatch(r"column_\d+", name) for name in columns):
        return False, "the training data had no header"
    return None


def looks_like_header(first: Sequence[str], body: Sequence[Sequence[str]]) -> tuple[bool, str]:
    """Whether the first row names the columns: does it differ from what stands below it?"""
    if not body:
        is_names = not any(map(_is_number, first))
        return is_names, "the only line holds no number" if is_names else "the only line holds numbers"
    votes_for, votes_against, numeric_names = 0, 0, []
    for j, cell in enumerate(map(str.strip, first)):
        below = [row[j].strip() for row in body if j < len(row)]
        below = [value for value in below if value.lower() not in _MISSING]
        if not below or not cell:
            continue
        if _share(below, _is_number) >= 0.8:
            if _is_number(cell):
                numeric_names.append(cell)
            else:
                votes_for += cell.lower() not in _MISSING
        elif _share(below, _is_date) >= 0.8:
            votes_for, votes_against = votes_for + (not _is_date(cell)), votes_against + _is_date(cell)
        else:
            votes_against += cell in below or _is_number(cell)
    if _are_years(numeric_names) and not votes_against and len(numeric_names) < len(first):
        return True, "the first line holds names and years"
    votes_against += len(numeric_names)
    if votes_for > votes_against:
        return True, "the first line holds words above " + (
            "a column" if votes_for == 1 else f"{votes_for} columns"
        ) + " of numbers or dates"
    if votes_against:
        return False, "the first line looks like the lines below it"
    is_names = len(set(first)) == len(first)
    return is_names, "its words do not occur below it" if is_names else "the first line repeats itself"


def has_second_header(first: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Whether the second line belongs to the header too (units, or the parts of a question)."""
    if len(body) < 4:
        return False
    second, rest = body[0], body[1:]
    num_numeric, num_words, num_repeated = 0, 0, 0
    for j, cell in enumerate(map(str.strip, second)):
        below = [row[j].strip() for row in rest if j < len(row)]
        below = [value for value in below if value.lower() not in _MISSING]
        num_repeated += cell in below
        if len(below) >= 3 and _share(below, _is_number) >= 0.95 and cell.lower() not in _MISSING:
            num_numeric += 1
            num_words += not _is_number(cell)
    if num_numeric >= 2 and num_words == num_numeric and num_repeated == 0:
        return True
    words, times = Counter(map(str.strip, second)).most_common(1)[0]
    if words and times >= max(3, 0.4 * len(second)) and not _is_number(words) and num_repeated == 0:
        return True  # such as "Response" below every question of a survey
    blank = [j for j, cell in enumerate(first) if not cell.strip()]
    fills = [j for j in blank if j < len(second) and second[j].strip() and not _is_number(second[j])]
    return len(blank) >= max(2, 0.2 * len(first)) and len(fills) >= 0.8 * len(blank) and num_words == num_numeric


def _join_headers(first: Sequence[str], second: Sequence[str], width: int) -> list[str]:
    """One name per column from two header lines."""
    above = [*first, *[""] * (width - len(first))]
    below = [*second, *[""] * (width - len(second))]
    return [f"{a.strip()} {b.strip()}".strip() for a, b in zip(above, below, strict=False)]


def clean_name(name: str) -> str:
    """A column's name on one line, without outer blanks, quotes or a byte order mark."""
    return " ".join(name.replace("\ufeff", "").split()).strip("\"'") or ""


def unique_names(names: Iterable[str]) -> tuple[list[str], list[str], list[str]]:
    """(names that are unique and not empty, those that were empty, those that were taken twice)."""
    cleaned = [clean_name(str(name)) for name in names]
    taken = set(cleaned)
    used: set[str] = set()
    result, empty, twice = [], [], []
    for position, name in enumerate(cleaned, start=1):
        unique = name or f"column_{position}"
        if not name:
            empty.append(unique)
        number = 2
        while unique in used or (unique != name and unique in taken):
            unique, number = f"{name or f'column_{position}'}_{number}", number + 1
        if name and unique != name:
            twice.append(unique)
        used.add(unique)
        result.append(unique)
    return result, empty, twice


def _share(values: Sequence[str], test: Callable[[str], bool]) -> float:
    return sum(map(test, values)) / len(values)


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell.strip()) is not None


def _is_date(cell: str) -> bool:
    return _DATE.fullmatch(cell.strip()) is not None


def _are_years(cells: Sequence[str]) -> bool:
    """Whether cells read 1990, 1991, 1992 ...: names of columns, although they are numbers."""
    if len(cells) < 2 or not all(re.fullmatch(r"(1[89]|20)\d\d", cell) for cell in cells):
        return False
    years = list(map(int, cells))
    steps = {later - earlier for earlier, later in pairwise(years)}
    return len(steps) == 1 and steps != {0}
