"""`nudge page` and `nudge train --open` as processes: addresses, ports, signals, and nothing left behind."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from nudgenet.errors import SettingError
from nudgenet.page.server import DEFAULT_PORT, listen

Nudge = Callable[..., tuple[int, str, str]]
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/\?token=[\w-]{43}")
PATIENCE_S = 120
PAGE = [sys.executable, "-m", "nudgenet", "page", "--no-open"]


@contextmanager
def opened(runs: Path, *options: str, **more: Any) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A page as a process, and its address; it is ended at the end."""
    command = [*PAGE, "--runs", str(runs), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert ADDRESS.fullmatch(address), (address, process.stderr and process.stderr.read())
        try:
            yield process, address
        finally:
            if process.poll() is None:
                process.kill()


def browse(address: str) -> tuple[str, str]:
    """What a browser with cookies gets for an address, and its cookie."""
    jar = CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    with opener.open(address, timeout=30) as answer:
        text = answer.read().decode()
    return text, "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)


def test_the_page_is_served_and_ctrl_c_ends_it(quick_runs: dict[str, Path]) -> None:
    with opened(quick_runs["binary"].parent) as (process, address):
        port = int(address.split(":")[2].split("/")[0])
        html, cookie = browse(address)
        assert html.startswith("<!doctype html>") and cookie.startswith(f"nudgenet-{port}=")
        origin = f"http://127.0.0.1:{port}"
        with connect(f"ws://127.0.0.1:{port}/api/live", additional_headers={"Cookie": cookie}, origin=origin) as page:  # type: ignore[arg-type]
            page.send(json.dumps({"watch": "binary", "epoch": 0, "step": 0}))
            assert json.loads(page.recv(30))["run"] == "binary"
            process.send_signal(signal.SIGINT)  # with a socket open
            assert process.wait(30) == 0
        assert process.stderr is not None and process.stderr.read() == ""
        assert process.stdout is not None and process.stdout.read() == ""


def test_the_socket_refuses_strangers(quick_runs: dict[str, Path]) -> None:
    with opened(quick_runs["binary"].parent) as (_, address):
        port = int(address.split(":")[2].split("/")[0])
        _, cookie = browse(address)
        place, good = f"ws://127.0.0.1:{port}/api/live", f"http://127.0.0.1:{port}"
        for origin, headers in ((good, {}), (None, {"Cookie": cookie}), ("http://evil.example", {"Cookie": cookie})):
            with pytest.raises(InvalidStatus) as refused, connect(place, origin=origin, additional_headers=headers):  # type: ignore[arg-type]
                pass
            assert refused.value.response.status_code == 403


def test_a_request_to_terminate_ends_it_too(tmp_path: Path) -> None:
    with opened(tmp_path) as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143


def test_two_pages_take_two_ports(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, first), opened(tmp_path) as (_, second):
        ports = [int(address.split(":")[2].split("/")[0]) for address in (first, second)]
        assert DEFAULT_PORT <= ports[0] != ports[1] >= DEFAULT_PORT


def test_a_file_is_no_folder_of_runs(nudge: Nudge, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    code, out, err = nudge("page", "--runs", tmp_path / "rows.csv", "--no-open")
    assert (code, out) == (2, "") and err.startswith("nudge: The runs lie in a folder, and this is none")


def test_a_port_in_use_is_one_line(nudge: Nudge, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, err = nudge("page", "--runs", tmp_path, "--no-open", "--port", port)
        assert (code, out) == (2, "") and err == (
            f"nudge: The port is in use (got {port}). Choose another --port, or leave it away.\n"
        )


def test_wrong_addresses_are_one_line(nudge: Nudge, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot listen there"):
        listen("203.0.113.1", 8721)
    code, _, err = nudge("page", "--runs", tmp_path, "--no-open", "--host", "nowhere.invalid")
    assert code == 2 and len(err.splitlines()) == 1
    assert nudge("page", "--port", "0")[0] == 2 and nudge("page", "--port", "70000")[0] == 2


def test_without_the_libraries_it_says_which(nudge: Nudge, monkeypatch: pytest.MonkeyPatch, houses: Path) -> None:
    monkeypatch.setattr("nudgenet.cli.find_spec", lambda name: None if name == "uvicorn" else object())
    for command in (("page",), ("train", houses, "--target", "price", "--open")):
        code, out, err = nudge(*command)
        assert (code, out) == (2, "") and "(got uvicorn)" in err and "nudgenet[page]" in err
        assert len(err.splitlines()) == 1


def test_a_tied_page_ends_with_its_input(tmp_path: Path) -> None:
    with opened(tmp_path, "--tied", stdin=subprocess.PIPE) as (process, address):
        browse(address)
        assert process.poll() is None and process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0


def browser(folder: Path) -> dict[str, str]:
    """An environment whose browser writes down what it is asked to show."""
    script = folder / "browser.sh"
    script.write_text(f'#!/bin/sh\necho "$1" >> "{folder}/shown.txt"\n')
    script.chmod(0o755)
    return os.environ | {"BROWSER": f"{script} %s"}


def pages_over(runs: Path) -> list[int]:
    """The page processes over this folder, by what the system says of them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"page" in words and str(runs).encode() in words:
            found.append(int(entry.name))
    return found


def train_open(houses: Path, runs: Path) -> list[str]:
    """The command that trains with the page beside it."""
    return [sys.executable, "-m", "nudgenet", "train", str(houses), "--target", "price", "--runs", str(runs), "--open"]


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
def test_train_open_shows_the_run_and_leaves_nothing(houses: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    command = train_open(houses, runs)
    quick = ["--set", "epochs=2", "--no-baselines", "--json"]
    result = subprocess.run(
        [*command, *quick], env=browser(tmp_path), capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert result.returncode == 0, result.stderr
    name = Path(json.loads(result.stdout)["run"]).name
    assert re.fullmatch(r"houses-\d{8}-\d{6}", name)
    (shown,) = (tmp_path / "shown.txt").read_text().splitlines()
    assert ADDRESS.match(shown) and shown.endswith(f"#/run/{name}")
    assert pages_over(runs) == [] and "still open" not in result.stderr


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
def test_at_a_terminal_the_page_stays_until_ctrl_c(houses: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    ours, theirs = pty.openpty()
    command = train_open(houses, runs)
    with subprocess.Popen(
        [*command, "--set", "epochs=2", "--no-baselines"], env=browser(tmp_path), stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            os.close(theirs)
            said, until = b"", time.monotonic() + PATIENCE_S
            while b"Ctrl-C ends it" not in said and time.monotonic() < until:
                if select.select([ours], [], [], 1)[0]:
                    said += os.read(ours, 4096)
            assert b"The page is still open at http://127.0.0.1:" in said, said[-2000:]
            assert process.poll() is None and len(pages_over(runs)) == 1
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()
    os.close(ours)
    assert pages_over(runs) == []


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
def test_a_killed_training_takes_its_page_along(houses: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    command = train_open(houses, runs)
    long = ["--set", "epochs=100000", "--set", "patience=100000", "--quiet"]
    with subprocess.Popen([*command, *long], env=browser(tmp_path), stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + PATIENCE_S
        while not (tmp_path / "shown.txt").exists() and time.monotonic() < until:
            time.sleep(0.1)
        assert len(pages_over(runs)) == 1
        process.kill()
    until = time.monotonic() + 30
    while pages_over(runs) and time.monotonic() < until:
        time.sleep(0.1)
    assert pages_over(runs) == []


def test_other_machines_are_warned_about_in_the_help(nudge: Nudge) -> None:
    code, out, _ = nudge("page", "--help")
    assert code == 0 and "nothing is encrypted" in " ".join(out.split()) and "--tied" not in out
