"""The command line face: thin. Every command loads what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import json
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nudgenet import __version__
from nudgenet.errors import Interrupted, MissingExtra, NudgeError, UserError

if TYPE_CHECKING:
    from nudgenet.run import Run
    from nudgenet.terminal import Display
    from nudgenet.training.stopping import StopSignal

app = typer.Typer(
    name="nudge",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunsOption = Annotated[Path, typer.Option("--runs", help="The folder that runs are in.", metavar="DIR")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors and the JSON line.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or its name under --runs.")]
RUNS = Path("runs")


@app.callback()
def nudge(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Your data in, a trained neural network out: trained as it should be done, tested honestly, explained."""
    if version:
        typer.echo(f"nudgenet {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def train(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A table's file, a folder with a sub-folder of images, sounds or texts per class, "
            "or a query that starts with SELECT.",
        ),
    ],
    target: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column to predict: a name, or a 1-based position (-1: the last)."),
    ] = None,
    runs: RunsOption = RUNS,
    name: Annotated[
        str | None, typer.Option(help="The run's folder under --runs; by default the source's name and the time.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Drives every random choice.")] = 0,
    time_limit: Annotated[
        str | None, typer.Option(metavar="TIME", help="The longest that all of it may take: 60s, 5m, 1h.")
    ] = None,
    test: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Rows to test on; by default a part is held out.")
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="What to start from: a pretrained network (its folder, or its Hugging Face name if it is in the cache), "
            "or an earlier run (its folder, or its name under --runs).",
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any setting, such as dropout=0.2; can be repeated."),
    ] = None,
    baselines: Annotated[
        bool, typer.Option("--baselines/--no-baselines", help="Also fit the simple models that a network must beat.")
    ] = True,
    open_page: Annotated[
        bool,
        typer.Option(
            "--open", help="Open the page at this run; it stays until Ctrl-C, with --quiet or --json until the end."
        ),
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a network on a table, images, sounds or texts, test it, and explain it."""
    from nudgenet.settings import parse_assignments

    settings: dict[str, Any] = dict(parse_assignments(assignments or []))
    given = {"seed": seed or None, "time_limit": time_limit, "test": test, "baselines": None if baselines else False}
    given |= {"start_from": start_from}
    settings |= {key: value for key, value in given.items() if value is not None}
    settings |= {} if target is None else {"target": target}

    def work(display: Display, stop: StopSignal) -> Run:
        from nudgenet import pipeline

        return pipeline.train(source, runs=runs, name=name, observer=display, stop=stop, **settings)

    folder = _future_folder(source, runs, name) if open_page else None
    name = folder.name if folder is not None else name
    with _page_beside(folder, wait=not (as_json or quiet)):
        _train_or_resume(work, as_json=as_json, quiet=quiet)


@app.command()
def resume(run: RunArgument, runs: RunsOption = RUNS, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Go on with an interrupted run, bit for bit as if it had not been interrupted."""

    def work(display: Display, stop: StopSignal) -> Run:
        from nudgenet import pipeline
        from nudgenet.run import load

        if load(run, runs).is_done:
            display.stage("This run is finished: there is nothing to go on with. Its result:")
        return pipeline.resume(run, runs=runs, observer=display, stop=stop)

    _train_or_resume(work, as_json=as_json, quiet=quiet)


@app.command()
def predict(
    run: RunArgument,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="What to answer for: a table's file, a folder of images, sounds or texts, one such file, or a query.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to write (.csv, .parquet, .jsonl), over what is there; by default CSV to the standard output.",
        ),
    ] = None,
    runs: RunsOption = RUNS,
    quiet: QuietOption = False,
) -> None:
    """Answer for new rows, images, sounds or texts: one row out for each, in the same order."""
    from nudgenet.predictions import check_output
    from nudgenet.predictions import predict as write_predictions
    from nudgenet.run import load

    if output is not None:
        check_output(output)
    written = write_predictions(load(run, runs), source, output)
    if not quiet:
        for warning in written.warnings:
            typer.echo(f"warning: {warning}", err=True)
    if output is not None and not quiet:
        typer.echo(written.in_words(output), err=True)


@app.command()
def show(run: RunArgument, runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """Show a run: its verdict, scores and curve."""
    from nudgenet.run import load

    opened = load(run, runs)
    if as_json:
        typer.echo(json.dumps(opened.summary))
        return
    from nudgenet.printing import make_console
    from nudgenet.terminal import print_run

    summary = opened.summary if opened.is_done else {"run": str(opened.path), "target": opened.task.target}
    print_run(summary, opened.epochs, make_console(stderr=False), opened.comparisons)
    if opened.is_done:
        typer.echo(f"\nReport  {opened.report}")
    else:
        typer.echo(f"\nNot finished. Go on: nudge resume {shlex.quote(str(opened.path))}")


@app.command()
def runs(runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """List the runs in a folder, the newest first."""
    from nudgenet.run import overview

    rows = overview(runs)
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    from nudgenet.printing import make_console
    from nudgenet.terminal import print_runs

    print_runs(rows, make_console(stderr=False))


@app.command()
def export(
    run: RunArgument,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The folder to write; it must not be there yet.")],
    format: Annotated[
        str, typer.Option(metavar="FORMAT", help="transformers: a folder that `from_pretrained` loads.")
    ] = "transformers",
    runs: RunsOption = RUNS,
    quiet: QuietOption = False,
) -> None:
    """Write a trained network in a form that other programs read."""
    from nudgenet.exporting import export as write
    from nudgenet.run import load

    written = write(load(run, runs), path, format)
    if not quiet:
        typer.echo(f"{', '.join(file.name for file in written)} in {path}", err=True)


@app.command()
def demo(runs: RunsOption = RUNS, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Train on a real data set that comes with scikit-learn, from start to end."""

    new_rows = runs / "demo-data" / "new_tumours.csv"

    def work(display: Display, stop: StopSignal) -> Run:
        from nudgenet import pipeline
        from nudgenet.demo import write_demo_data

        table = runs / "demo-data" / "breast_cancer.csv"
        write_demo_data(table, new_rows)
        return pipeline.train(table, "diagnosis", runs=runs, observer=display, stop=stop)

    _train_or_resume(work, as_json=as_json, quiet=quiet, new_rows=new_rows)


@app.command()
def page(
    runs: RunsOption = RUNS,
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the address only; open no browser.")] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The port; by default 8721, or the next free one.")
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Listen elsewhere than on this machine alone, such as 0.0.0.0: whoever has the token may read the "
            "files here and train, and nothing is encrypted.",
        ),
    ] = "127.0.0.1",
    tied: Annotated[bool, typer.Option("--tied", hidden=True, help="End with the standard input.")] = False,
    export: Annotated[
        tuple[str, Path] | None,
        typer.Option(metavar="RUN FILE.html", help="Write a run as one file that opens without a server, and stop."),
    ] = None,
) -> int:
    """Open the page: watch runs learn, compare them, open any neuron. Ctrl-C closes it."""
    _require_page()
    if export is not None:
        _export(*export, runs)
        return 0
    from nudgenet.page.server import serve

    return serve(runs, host=host, port=port, open_browser=not no_open, tied=tied, say=typer.echo)


def _export(run: str, path: Path, runs: Path) -> None:
    """Write a run's page as one file, with a bar where a person sits at a terminal."""
    from rich.progress import Progress

    from nudgenet.page.export import check_path
    from nudgenet.page.export import export as write_file
    from nudgenet.printing import make_console
    from nudgenet.runs.store import Store

    check_path(path)
    store = Store.open(run, runs)
    with Progress(console=make_console(), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("Answering", total=None)
        written = write_file(store, path, lambda done, total: bar.update(task, completed=done, total=total))
    typer.echo(f"{written.num_bytes / 1e6:.1f} MB in {path}. {written.note}", err=True)


def _future_folder(source: str, runs: Path, name: str | None) -> Path:
    """Where the run will be that the page is to be opened at."""
    _require_page()
    from nudgenet.page.beside import future_folder

    return future_folder(source, runs, name)


@contextmanager
def _page_beside(folder: Path | None, *, wait: bool) -> Iterator[None]:
    """The page while a run is trained, and after it until Ctrl-C where a person sits at a terminal."""
    if folder is None:
        yield
        return
    from nudgenet.page.beside import page_beside

    with page_beside(folder) as page:
        yield
        if wait and sys.stdin.isatty():
            with suppress(KeyboardInterrupt):  # from the words on: whoever reads them may press it at once
                typer.echo(f"\nThe page is still open at {page.run_address}\nCtrl-C ends it.", err=True)
                page.wait()


def _require_page() -> None:
    """Raises MissingExtra if the libraries of the page are not installed."""
    missing = [name for name in ("starlette", "uvicorn", "websockets") if find_spec(name) is None]
    if missing:
        raise MissingExtra(
            "The page needs libraries that are not installed",
            got=", ".join(missing),
            fix="pip install 'nudgenet[page]'",
        )


def _train_or_resume(
    work: Callable[[Display, StopSignal], Run], *, as_json: bool, quiet: bool, new_rows: Path | None = None
) -> None:
    """Listen to Ctrl-C from the first moment (importing torch takes seconds), work, and tell the result.

    new_rows: what to predict next, if there is something; else an example is named.
    """
    from nudgenet.training.stopping import StopSignal, stop_on_signals

    stop = StopSignal()

    def on_request() -> None:
        if not quiet:
            os.write(2, b"\nStopping: saving first. Press Ctrl-C again to stop at once.\n")

    with stop_on_signals(stop, on_request):
        from nudgenet.terminal import Display

        display = Display(quiet=quiet)
        try:
            run = work(display, stop)
        finally:
            display.stop()
        path = shlex.quote(str(run.path))
        source, can_be = run.preparation.example_source if new_rows is None else (shlex.quote(str(new_rows)), "")
        # What it can be stands in a line of its own: not every shell takes a comment behind a command.
        next_steps = [
            f"nudge predict {path} {source}",
            *([f"  {source}: {can_be}"] if can_be else []),
            f"nudge show {path}",
        ]
        display.result(run.summary, report=str(run.report), next_steps=next_steps, comparisons=run.comparisons)
        if as_json:
            typer.echo(json.dumps(run.summary))


def run_command(arguments: list[str]) -> int:
    """Run one command and give its exit code: 0 done, 2 the user can fix it, 130 / 143 interrupted, 1 our bug."""
    try:
        result = app(arguments, prog_name="nudge", standalone_mode=False)
        if result == 130:  # what typer makes of a KeyboardInterrupt
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except (UserError, Interrupted) as error:
        return _one_line(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _one_line("Stopped at once; nothing more was saved.", 130)
    except BrokenPipeError:  # the reader of our output, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except NudgeError as error:
        return _one_line(str(error), error.exit_code)
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error of the command line library
            return _usage_error(error)
        traceback.print_exc()
        return _one_line("This is a bug in nudgenet: please report it with the lines above.", 1)


def _usage_error(error: Any) -> int:
    """What was typed cannot be: one line, with the help of the command that it was typed for."""
    if not (message := error.format_message().strip()):
        return 2
    command = error.ctx.command_path if getattr(error, "ctx", None) is not None else "nudge"
    stop = "" if message.endswith((".", "?")) else "."
    return _one_line(f"{message}{stop} `{command} --help` lists what there is.", 2)


def _one_line(text: str, exit_code: int) -> int:
    typer.echo(f"nudge: {' '.join(text.split())}", err=True)
    return exit_code
