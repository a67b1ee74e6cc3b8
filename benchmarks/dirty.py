"""Every dirty file, up to five columns of each as the target: does it train, or end in one clear line?

    .venv/bin/python benchmarks/dirty.py [--data FOLDER] [--folder UNPACKED] [--only GLOB] [--cases FILE]

Two epochs, no baselines, 60 seconds at most for each case. A case is `trained`, or `refused` (one
line, a `UserError`), or `failed`: any other exception, a Python warning that escapes, text printed by a
silent run, a message of several lines, a time-out, a dead process. Two accounts are kept besides:

- columns: each column of a trained table is a feature, the target, or named in the decision log;
- rows: train + validation + test + the rows that a warning counts as left out are the rows read, and the
  rows read are the lines of the file (counted here by other means) without header and preamble.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import faulthandler
import io
import json
import os
import re
import signal
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any, Literal

DATA = Path(__file__).parents[1].parent / "shared" / "data"
TIME_OUT_S = 60
GRACE_S = 30  # after the time-out: a worker that sits in native code, where no exception reaches it, is ended
LONGEST_LINE = 500  # characters; a longer message is no clear line
NUM_TARGETS = 5


class TimeOut(BaseException):
    """The case took too long. Not an Exception, so that no `except Exception` takes it for something else."""


@dataclass(frozen=True)
class Case:
    """What became of one target of one file."""

    file: str
    target: str | None  # None: the file was refused (or failed) while it was read
    state: Literal["trained", "refused", "failed"]
    kind: str  # the task of a trained case, the message without its names and numbers, the exception
    detail: str = ""
    seconds: float = 0.0
    unaccounted: tuple[str, ...] = ()  # columns or rows that nothing in the run explains


# ------------------------------------------------------------------ one file, in a worker


def start_worker() -> None:
    """One thread each: the workers share the cores."""
    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)


def run_file(root: Path, path: Path) -> list[Case]:
    """All cases of a file."""
    from nudgenet.data.read import read
    from nudgenet.settings import Settings

    name = str(path.relative_to(root))
    outcome, raw = guarded(name, None, lambda: read(path, Settings()))
    if raw is None:
        return [outcome]
    lost = unaccounted_lines(path, raw)
    cases = [run_case(path, name, target, raw) for target in choose_targets(raw.table.column_names)]
    return [replace(cases[0], unaccounted=(*lost, *cases[0].unaccounted)), *cases[1:]]


def choose_targets(names: list[str]) -> list[str]:
    """The first, the last, and three spread between."""
    last = len(names) - 1
    positions = {round(i * last / (NUM_TARGETS - 1)) for i in range(NUM_TARGETS)}
    return [names[position] for position in sorted(positions)]


def run_case(path: Path, name: str, target: str, raw: Any) -> Case:
    """Train on one target in a temporary folder."""
    import nudgenet

    with tempfile.TemporaryDirectory() as folder:
        outcome, run = guarded(
            name, target, lambda: nudgenet.train(path, target, runs=folder, name="run", epochs=2, baselines=False)
        )
        if run is None:
            return outcome
        return replace(outcome, kind=run.task.kind, unaccounted=unaccounted(run, raw))


def guarded(name: str, target: str | None, work: Any) -> tuple[Case, Any]:
    """Do the work under a time-out; (what became of it, its result or None)."""
    began = time.perf_counter()
    printed = io.StringIO()
    signal.signal(signal.SIGALRM, ring)
    faulthandler.dump_traceback_later(TIME_OUT_S + GRACE_S, exit=True)
    signal.alarm(TIME_OUT_S)
    result, state, kind, detail = None, "failed", "", ""
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            warnings.simplefilter("always")
            result = work()
        state = "trained"
    except TimeOut:
        kind, detail = f"time-out after {TIME_OUT_S} s", place_of_failure()
    except Exception as error:
        state, kind, detail = judge(error)
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
    if state != "failed" and caught:
        first = caught[0]
        where = f"{Path(first.filename).name}:{first.lineno}"
        result, state = None, "failed"
        kind, detail = f"warning escaped: {first.category.__name__} at {where}", str(first.message)
    if state != "failed" and printed.getvalue():
        result, state, kind, detail = None, "failed", "printed text", printed.getvalue()[:300]
    return Case(name, target, state, kind, detail, time.perf_counter() - began), result


def ring(_number: int, _frame: FrameType | None) -> None:
    raise TimeOut


def judge(error: Exception) -> tuple[Literal["refused", "failed"], str, str]:
    """(state, kind, detail) of an exception: a UserError of one line is a refusal."""
    from nudgenet.errors import UserError

    text = str(error)
    if not isinstance(error, UserError):
        return "failed", f"{type(error).__name__} at {place_of_failure()}", text[:300]
    if "\n" in text or not text.strip():
        return "failed", "a message that is not one line", text[:300]
    if len(text) > LONGEST_LINE:
        return "failed", f"a message of more than {LONGEST_LINE} characters: {without_names(error.what)}", text
    return "refused", without_names(error.what), text


def without_names(text: str) -> str:
    """A message without the names and numbers in it, to count it with its like."""
    text = re.sub(r"`.*`", "`...`", " ".join(text.split()))
    return re.sub(r"'.*'", "'...'", re.sub(r"\d[\d,.]*", "N", text))[:160]


def place_of_failure() -> str:
    """The innermost line of nudgenet in the exception under way."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    ours = [frame for frame in frames if "nudgenet" in Path(frame.filename).parts] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno} {ours[-1].name}"


# ------------------------------------------------------------------ nothing is dropped silently


def unaccounted(run: Any, raw: Any) -> tuple[str, ...]:
    """Columns that are neither target nor feature nor named in a decision; rows that no part and no warning has."""
    decisions = "\n".join(f"{item.what} {item.chosen} {item.why}" for item in run.decisions)
    features = {feature.column for feature in run.preparation.features}
    lost = [
        f"column `{name}`"
        for name in raw.table.column_names
        if name != run.task.target and name not in features and f"`{name}`" not in decisions
    ]
    in_parts = sum(run.summary["rows"].values())
    left_out = rows_left_out(run.task.target, run.warnings)
    if in_parts + left_out != raw.table.num_rows:
        lost.append(f"rows: {raw.table.num_rows} read, {in_parts} in parts, {left_out} counted as left out")
    return tuple(lost)


def rows_left_out(target: str, warnings_of_run: list[str]) -> int:
    """The rows that warnings count as useless: the target is missing in them, or no number."""
    name = re.escape(f"`{target}`")
    counted = 0
    for text in warnings_of_run:
        missing = re.match(rf"([\d,]+)(?: of [\d,]+)? rows? (?:has|have) no {name}", text)
        bad = re.match(rf"{name}: ([\d,]+) cells? (?:is|are) no", text)
        if found := missing or bad:
            counted += int(found[1].replace(",", ""))
    return counted


def unaccounted_lines(path: Path, raw: Any) -> tuple[str, ...]:
    """Lines of a text file that are neither rows nor header nor preamble, by a count of our own."""
    decisions = {decision.what: decision.chosen for decision in raw.decisions}
    data = path.read_bytes()
    if "delimiter" not in decisions or b"\x00" in data or data.startswith(b"\x1f\x8b"):
        return ()
    text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    if arff_data := re.search(r"(?im)^\s*@data\b.*$", text):
        text = re.sub(r"(?m)^\s*%.*$", "", text[arff_data.end() :])
        decisions["header"] = "in the lines above @data"
    if '"' in text:
        delimiter = {"semicolon": ";", "tab": "\t", "bar": "|"}.get(decisions["delimiter"], ",")
        csv.field_size_limit(sys.maxsize)
        records = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
        num_lines = sum(len(row) > 1 or bool(row[0].strip()) for row in records)
    else:
        num_lines = sum(bool(line.strip()) for line in text.split("\n"))
    header = decisions["header"]
    num_header = 2 if "first two lines" in header else 1 if "first line" in header else 0
    preamble = re.search(r"\d+", decisions.get("preamble", ""))
    expected = raw.table.num_rows + num_header + int(preamble[0] if preamble else 0)
    if raw.table.num_columns == 1 and expected >= num_lines:
        return ()  # in a table of one column a blank line is a missing cell
    return () if expected == num_lines else (f"lines: {num_lines} in the file, {expected} explained",)


# ------------------------------------------------------------------ all files


def run_all(root: Path, files: list[Path], workers: int) -> Iterator[list[Case]]:
    """The cases of every file, as they come; after a worker died, the files left over run one by one."""
    left = dict.fromkeys(files)
    try:
        with pool(workers) as executor:
            futures = {executor.submit(run_file, root, path): path for path in files}
            for future in as_completed(futures):
                cases = future.result()
                del left[futures[future]]
                yield cases
    except BrokenProcessPool:
        for path in left:
            try:
                with pool(1) as executor:
                    cases = executor.submit(run_file, root, path).result()
            except BrokenProcessPool:
                cases = [Case(str(path.relative_to(root)), None, "failed", "the process died (crash or endless)")]
            yield cases


def pool(workers: int) -> ProcessPoolExecutor:
    """Workers that share nothing with this process."""
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=start_worker)


def find_files(folder: Path, only: str) -> list[Path]:
    """Every file below a folder, the largest first, so that the end does not wait for one."""
    files = [path for path in folder.rglob(only) if path.is_file()]
    return sorted(files, key=lambda path: (-path.stat().st_size, path))


def show(cases: list[Case], num_files: int, seconds: float, worst: int) -> None:
    """The counts, then every failure with its like."""
    states = Counter(case.state for case in cases)
    print(f"\n{num_files} files, {len(cases)} cases in {seconds:.0f} s: " + count_words(states.items()))
    print("trained: " + count_words(Counter(case.kind for case in cases if case.state == "trained").items()))
    slowest = sorted(cases, key=lambda case: -case.seconds)[:worst]
    print("slowest: " + ", ".join(f"{case.seconds:.1f} s {case.file} [{case.target}]" for case in slowest))
    for state in ("refused", "failed"):
        groups: dict[str, list[Case]] = defaultdict(list)
        for case in cases:
            if case.state == state:
                groups[case.kind].append(case)
        print(f"\n{state}, by kind:")
        for kind, alike in sorted(groups.items(), key=lambda item: -len(item[1])):
            print(f"  {len(alike):4}  {kind}")
            for case in alike if state == "failed" else ():
                print(f"          {case.file} [{case.target}]: {case.detail}")
    lost = [case for case in cases if case.unaccounted]
    print(f"\nnot accounted for: {len(lost)} cases")
    for case in lost:
        print(f"  {case.file} [{case.target}]: {'; '.join(case.unaccounted)[:300]}")
    today, failed = time.strftime("%Y-%m-%d"), states["failed"]
    row = f"| {num_files} | {len(cases)} | {states['trained']} | {states['refused']} | {failed} | {len(lost)} |"
    print(f"\n| date | files | cases | trained | refused | failed | not accounted for |\n| {today} {row}")


def count_words(counts: Iterable[tuple[str, int]]) -> str:
    """`3 trained, 1 refused`."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts, key=lambda item: -item[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with dirty.tar.gz")
    parser.add_argument("--folder", type=Path, help="the files already unpacked")
    parser.add_argument("--only", default="*", help="files whose name fits this pattern")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--cases", type=Path, help="write every case there, as JSON lines")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as unpacked:
        folder = arguments.folder
        if folder is None:
            folder = Path(unpacked)
            with tarfile.open(arguments.data / "dirty.tar.gz") as archive:
                archive.extractall(folder, filter="data")
        files = find_files(folder, arguments.only)
        began, cases = time.perf_counter(), []
        for number, found in enumerate(run_all(folder, files, arguments.workers), 1):
            cases += found
            if sys.stderr.isatty():
                print(f"\r{number} of {len(files)} files", end="", file=sys.stderr, flush=True)
    if arguments.cases:
        arguments.cases.write_text("".join(json.dumps(asdict(case)) + "\n" for case in cases))
    show(cases, len(files), time.perf_counter() - began, worst=5)
    sys.exit(any(case.state == "failed" or case.unaccounted for case in cases))


if __name__ == "__main__":
    main()
