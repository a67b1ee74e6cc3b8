"""Every mistake that a user can make: one line that says what, what was got and the fix; exit code 2; no traceback."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nudgenet
from conftest import train_until, write_houses, write_pictures
from nudgenet.cli import run_command

Nudge = Callable[..., tuple[int, str, str]]
QUICK = ("--set", "epochs=2", "--no-baselines")
TARGET = ("--target", "price")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of every sad kind."""
    folder = tmp_path_factory.mktemp("cli")
    write_houses(folder / "houses.csv")
    numbers = range(50)
    files: dict[str, str | bytes] = {
        "empty.csv": "",
        "blank.csv": "\n\n  \n",
        "header.csv": "a,b,y\n",
        "five.csv": "a,y\n1,2\n2,3\n3,4\n4,5\n5,7\n",
        "one_class.csv": "a,y\n" + "\n".join(f"{i},same" for i in numbers),
        "no_target.csv": "a,y\n" + "\n".join(f"{i}," for i in numbers),
        "na_target.csv": "a,y\n" + "\n".join(f"{i},NA" for i in numbers),
        "only_target.csv": "y\n" + "\n".join(str(i % 2) for i in numbers),
        "only_names.csv": "name,y\n" + "\n".join(f"Person {i},{i % 2}" for i in numbers),
        "texts.csv": "a,y\n" + "\n".join(f"{i},a long review number {i} that nobody reads" for i in numbers),
        "random.csv": bytes(range(256)) * 20,
        "image.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        "image.csv": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        "cut.parquet": b"PAR1 and then nothing",
        "cut.csv.gz": b"\x1f\x8b\x08 and then nothing",
        "cut.xlsx": b"PK\x03\x04 and then nothing",
        "bad.json": '{"a": 1, ',
        "mostly_text.csv": "id,area,age,city,sold,dear\n" + "\n".join("x,large,3,Bern,2020-01-01,yes" for _ in numbers),
        "other.csv": "p,q\n1,2\n3,4\n",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    nudgenet.train(folder / "houses.csv", "price", runs=folder / "runs", name="done", epochs=2, baselines=False)
    return folder


def check(nudge: Nudge, message: str, *arguments: object) -> str:
    """Exit code 2, nothing on stdout, exactly one line on stderr with the message in it."""
    code, out, err = nudge(*arguments)
    assert code == 2 and out == ""
    assert err.startswith("nudge: ") and err.endswith("\n") and len(err.splitlines()) == 1
    assert "Traceback" not in err and message in err
    return err


@pytest.mark.parametrize(
    ("name", "target", "message"),
    [
        ("huoses.csv", "price", "There is no such file (got {folder}/huoses.csv). Did you mean `{folder}/houses.csv`?"),
        ("nowhere/houses.csv", "price", "There is no folder `{folder}/nowhere`"),
        ("", "price", "per class"),
        ("empty.csv", "y", "`empty.csv` is empty"),
        ("blank.csv", "y", "`blank.csv` is empty"),
        ("header.csv", "y", "holds a header and no rows"),
        ("five.csv", "y", "At least 10 rows with a `y` are needed"),
        ("one_class.csv", "y", "The target `y` has the same value in every row (got same)"),
        ("no_target.csv", "y", "The target `y` has no values"),
        ("na_target.csv", "y", "The target `y` has no values"),
        ("only_target.csv", "y", "No column is left to learn from"),
        ("only_names.csv", "y", "No column is left to learn from (got `name`: identifier)"),
        ("texts.csv", "y", "The target `y` holds free text"),
        ("random.csv", "y", "is not text"),
        ("image.png", "y", "`image.png` is an image"),
        ("image.csv", "y", "`image.csv` is an image"),
        ("cut.parquet", "y", "is a damaged Parquet file"),
        ("cut.csv.gz", "y", "is damaged"),
        ("cut.xlsx", "y", "is damaged"),
        ("bad.json", "y", "cannot be read as rows of JSON"),
        ("houses.csv", "prise", "Did you mean `price`?"),
        ("houses.csv", "8", "position must be 1 to 7"),
        ("houses.csv", "0", "position must be 1 to 7"),
        ("houses.csv", "sold", "holds dates, which cannot be predicted"),
        ("houses.csv", "id", "holds a different value in nearly every row"),
    ],
)
def test_sources_and_targets(nudge: Nudge, folder: Path, name: str, target: str, message: str) -> None:
    arguments = ("train", folder / name, "--target", target, "--runs", folder / "r", *QUICK, "--quiet")
    check(nudge, message.format(folder=folder), *arguments)
    assert not (folder / "r").exists(), "nothing is left behind"


def test_without_a_target_the_columns_are_listed_and_one_is_suggested(nudge: Nudge, folder: Path) -> None:
    line = check(nudge, "Which column is to be predicted?", "train", folder / "houses.csv", *QUICK, "--quiet")
    assert "`area`" in line and "--target price" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--set", "dropuot=0.1"), "There is no setting `dropuot`. Did you mean `dropout`?"),
        (("--set", "dropout"), "`--set` takes name=value"),
        (("--set", "dropout=1.5"), "The setting `dropout`"),
        (("--set", "dropout=much"), "The setting `dropout`"),
        (("--set", "task=classification"), "The setting `task`"),
        (("--set", "task=binary"), "which are no classes"),
        (("--set", "network=rnn"), "There is no network `rnn`"),
        (("--set", "optimizer=adm"), "Did you mean `adam`?"),
        (("--set", "schedule=cosin"), "Did you mean `cosine`?"),
        (("--set", "activation=rleu"), "The setting `activation`"),
        (("--set", "objective=cross_entropy"), "does not fit a regression task"),
        (("--set", "objective=mes"), "Did you mean `mse`?"),
        (("--set", "group=citi"), "Did you mean `city`?"),
        (("--set", "time=city"), "must hold dates or numbers"),
        (("--set", "group=price"), "is the target and cannot be the group column"),
        (("--set", "group=city", "--set", "time=sold"), "cannot both decide the split"),
        (("--set", "ignore=citi"), "Did you mean `city`?"),
        (("--set", "kinds=citi:number"), "Did you mean `city`?"),
        (("--set", "kinds=city:nubmer"), "Did you mean `number`?"),
        (("--set", "kinds=city:number"), "cannot be read as numbers"),
        (("--set", "kinds=city"), "takes column:kind"),
        (("--seed", "-1"), "The setting `seed`"),
        (("--seed", "one"), "--seed"),
        (("--time-limit", "soon"), "A time limit is a number with s, m or h"),
        (("--test", "{folder}/nothing.csv"), "There is no such file"),
        (("--test", "{folder}/other.csv"), "no column in common"),
        (("--name", "a/b"), "A run's name must be a plain folder name"),
        (("--name", ""), "A run's name must be a plain folder name"),
        (("--runs", "{folder}/houses.csv"), "cannot be written"),
        (("--runs", "/proc/runs"), "cannot be written"),
        (("--tarmac", "price"), "No such option"),
        (("too", "many"), "unexpected extra argument"),
    ],
)
def test_settings_and_options(nudge: Nudge, folder: Path, options: tuple[str, ...], message: str) -> None:
    given = [option.format(folder=folder) for option in options]
    runs = () if "--runs" in given else ("--runs", folder / "r")
    check(nudge, message, "train", folder / "houses.csv", *TARGET, *QUICK, "--quiet", *runs, *given)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM nowhere", "The query failed (got Table with name nowhere does not exist!"),
        ("SELECT * FROM 'nowhere.csv'", "The query failed"),
        ("SELECT 1; SELECT 2", "A query must be one SELECT"),
        ("SELECT * FROM '{folder}/houses.csv' WHERE area < 0", "The query gives no rows"),
        ("FROM '{folder}/houses.csv' SELECT", "The query failed"),
        ("WITH x AS (SELECT 1) DELETE FROM x", "A query must be one SELECT"),
    ],
)
def test_queries(nudge: Nudge, folder: Path, query: str, message: str) -> None:
    arguments = ("train", query.format(folder=folder), *TARGET, "--runs", folder / "r", *QUICK, "--quiet")
    check(nudge, message, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "dnoe"), "There is no such run (got dnoe). Did you mean `done`?"),
        (("resume", "dnoe"), "Did you mean `done`?"),
        (("predict", "dnoe", "{folder}/houses.csv"), "Did you mean `done`?"),
        (("predict", "done", "{folder}/nothing.csv"), "There is no such file"),
        (("predict", "done", "{folder}"), "is a folder of files, and the rows of a table are needed here"),
        (("predict", "done", "{folder}/image.png"), "is an image"),
        (("predict", "done", "{folder}/header.csv"), "holds a header and no rows"),
        (("predict", "done", "{folder}/other.csv"), "None of the columns that the network learned from is there"),
        (
            ("predict", "done", "{folder}/mostly_text.csv"),
            "`area` held numbers in training, but 50 of 50 cells are none",
        ),
        (
            ("predict", "done", "{folder}/houses.csv", "--output", "{folder}/x.pdf"),
            "written as .csv, .parquet or .jsonl",
        ),
        (("predict", "done", "{folder}/houses.csv", "--output", "{folder}/no/x.csv"), "there is no folder"),
        (("predict", "done", "{folder}/houses.csv", "--output", "/proc/x.csv"), "cannot be written"),
    ],
)
def test_runs(nudge: Nudge, folder: Path, arguments: tuple[str, ...], message: str) -> None:
    given = [argument.format(folder=folder) for argument in arguments]
    quiet = ["--quiet"] if given[0] == "predict" else []
    check(nudge, message, *given, *quiet, "--runs", folder / "runs")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("trian",), "No such command 'trian'"),
        (("train",), "Missing argument 'SOURCE'. `nudge train --help`"),
        (("predict", "done"), "Missing argument 'SOURCE'. `nudge predict --help`"),
        (("show", "done", "--set", "a=b"), "No such option"),
        (("train", "x.csv", "--seed", "one"), "`nudge train --help` lists what there is."),
        (("--verbose",), "`nudge --help` lists what there is."),
    ],
)
def test_usage_errors_are_one_line_too(nudge: Nudge, arguments: tuple[str, ...], message: str) -> None:
    check(nudge, message, *arguments)


def test_help_names_what_can_be_given(nudge: Nudge) -> None:
    for name in ("train", "predict"):
        words = " ".join(nudge(name, "--help")[1].split())
        assert "a folder " in words and words.count("images, sounds or texts") == 2


def test_what_to_predict_next_is_of_the_kind_that_was_learned(nudge: Nudge, tmp_path: Path) -> None:
    write_pictures(tmp_path / "shapes", 4)
    code, _, err = nudge("train", tmp_path / "shapes", "--runs", tmp_path, "--name", "r", "--set", "width=8", *QUICK)
    assert code == 0
    after = err.partition("Next\n")[2].splitlines()
    assert after[0] == f"  nudge predict {tmp_path / 'r'} NEW_IMAGES/"
    assert after[1].endswith("NEW_IMAGES/: a folder of images, one image, or a table with them in `image`")
    assert len(after) == 3


def test_resuming_a_finished_run_says_so(nudge: Nudge, folder: Path) -> None:
    code, out, err = nudge("resume", "done", "--runs", folder / "runs")
    assert (code, out) == (0, "") and err.startswith("This run is finished: there is nothing to go on with.")
    assert "Report" in err
    assert nudge("resume", "done", "--runs", folder / "runs", "--quiet") == (0, "", "")


def test_an_interrupted_run_is_listed_with_its_target(nudge: Nudge, houses: Path, tmp_path: Path) -> None:
    train_until(2, houses, "price", runs=tmp_path / "runs", name="halved", epochs=2, baselines=False)
    _, out, _ = nudge("runs", "--runs", tmp_path / "runs")
    assert out.splitlines()[1].split()[:3] == ["halved", "price", "interrupted"]
    _, out, _ = nudge("runs", "--runs", tmp_path / "runs", "--json")
    assert (json.loads(out)["target"], json.loads(out)["state"]) == ("price", "interrupted")


def test_going_on_without_the_source(nudge: Nudge, houses: Path, tmp_path: Path) -> None:
    """No other file of a like name is suggested: it would not be the run's."""
    test, moved = str(shutil.copy(houses, tmp_path / "more.csv")), tmp_path / "houses2.csv"
    train_until(2, houses, "price", test=test, runs=tmp_path, name="r", epochs=2, baselines=False)
    houses.rename(moved)
    line = check(nudge, "The source of this run is gone", "resume", tmp_path / "r", "--quiet")
    assert line.endswith(f"gone (got {houses}). Put it back, or train again.\n")
    moved.rename(houses)
    Path(test).unlink()
    check(nudge, f"The source of test rows of this run is gone (got {test})", "resume", tmp_path / "r", "--quiet")


def test_no_runs_yet_is_no_error(nudge: Nudge, tmp_path: Path) -> None:
    code, out, err = nudge("runs", "--runs", tmp_path / "nowhere")
    assert code == 0 and out.startswith("No runs yet") and err == ""


def test_odd_names_survive(nudge: Nudge, tmp_path: Path) -> None:
    """Names that mean something to a shell, to HTML, to CSV or to rich are only names."""
    names = [
        "na,me",
        'quo"te',
        "<script>alert(1)</script>",
        "[red]rich[/red]",
        "duck 🦆",
        "x" * 300,
        "--set",
        "prediction",
    ]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in [*names, "dup", "dup", ""])
    rows = [
        ",".join(str((i * (j + 3)) % 17 + i / 7) for j in range(11)) + f",{'<b>' if i % 2 else '[b]'}"
        for i in range(60)
    ]
    (tmp_path / "odd.csv").write_text(header + ",target\n" + "\n".join(rows), encoding="utf-8")
    code, _, err = nudge("train", tmp_path / "odd.csv", "--target", "target", "--runs", tmp_path, "--name", "r", *QUICK)
    assert code == 0 and "Traceback" not in err
    code, out, _ = nudge("predict", tmp_path / "r", tmp_path / "odd.csv", "--quiet")
    assert (
        code == 0
        and out.splitlines()[0] == "prediction,probability_<b>,probability_[b]"
        and len(out.splitlines()) == 61
    )
    assert nudge("show", tmp_path / "r")[0] == 0
    html = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in html and "&lt;script&gt;alert" in html


def test_a_terminal_that_knows_only_ascii(folder: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = subprocess.run(
        [sys.executable, "-m", "nudgenet", "show", str(folder / "runs" / "done")],
        capture_output=True, env=environment, timeout=60,
    )  # fmt: skip
    assert result.returncode == 0 and result.stdout.decode("ascii") and not result.stderr


def test_what_is_printed_can_be_piped_into_head(folder: Path) -> None:
    command = (
        f"{sys.executable} -m nudgenet predict done houses.csv --runs runs --quiet | head -1; echo ${{PIPESTATUS[0]}}"
    )
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=folder, timeout=60)
    assert result.stdout.splitlines() == ["prediction", "0"] and result.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only some systems have a device that is always full")
def test_a_full_disk_behind_the_output(folder: Path) -> None:
    command = f"{sys.executable} -m nudgenet predict done houses.csv --runs runs --quiet > /dev/full"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=folder, timeout=60)
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1
    assert "No space left on device" in result.stderr


def test_our_own_bugs_are_called_so(nudge: Nudge, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nudgenet.run.load", lambda *_: 1 / 0)
    code, _, err = nudge("show", "done")
    assert code == 1 and "ZeroDivisionError" in err and err.splitlines()[-1].startswith("nudge: This is a bug")


def test_a_full_disk_while_training(
    nudge: Nudge, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    check(nudge, "No space left", "train", folder / "houses.csv", *TARGET, *QUICK, "--quiet", "--runs", tmp_path)


def test_the_demo(nudge: Nudge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a newcomer meets it, with a few epochs only: it ends with the report and what to type next, which works."""
    from nudgenet import pipeline

    train = pipeline.train
    monkeypatch.setattr(pipeline, "train", lambda *a, **k: train(*a, **k, epochs=3, baselines=False))
    monkeypatch.chdir(tmp_path)
    code, out, err = nudge("demo")
    assert code == 0 and out == ""
    commands = [line.split() for line in err.splitlines() if line.strip().startswith("nudge ")]
    assert [words[1] for words in commands] == ["predict", "show"]
    for words in commands:
        assert run_command(words[1:]) == 0


def test_set_takes_settings_only(nudge: Callable[..., tuple[int, str, str]], houses: Path, tmp_path: Path) -> None:
    for name in ("step", "observer", "runs", "source"):
        exit_code, _, err = nudge("train", houses, "--target", "price", "--set", f"{name}=x", "--runs", tmp_path)
        assert exit_code == 2 and err.count("\n") == 1 and f"no setting `{name}`" in err
    exit_code, _, err = nudge(
        "train", houses, "--set", "target=price", "--set", "epochs=1", "--runs", tmp_path, "--quiet"
    )
    assert (exit_code, err) == (0, "")
    exit_code, _, err = nudge("show", "x" * 300)
    assert exit_code == 2 and err.count("\n") == 1
    exit_code, _, err = nudge("train", houses, "--target", "price", "--name", "ü" * 150, "--runs", tmp_path)
    assert exit_code == 2 and err.count("\n") == 1
