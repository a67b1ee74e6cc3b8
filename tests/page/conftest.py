"""A page over a folder of runs, and a browser that has its cookie."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from nudgenet.page.context import Context
from nudgenet.page.security import Trust
from nudgenet.page.server import create_app, make_context

HOST = "127.0.0.1:8721"
ORIGIN = f"http://{HOST}"


@dataclass
class Page:
    """An open page: who asks with `client` has the cookie, and is the page itself."""

    client: TestClient
    context: Context
    trust: Trust

    def get(self, path: str) -> Any:
        answer = self.client.get(f"/api/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.client.post(f"/api/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def error(self, method: str, path: str, body: Any = None, *, status: int = 400) -> str:
        """The one line that a wrong request is answered with."""
        answer = self.client.request(method, f"/api/{path}", json=body)
        assert answer.status_code == status, answer.text
        line: str = answer.json()["error"]
        assert list(answer.json()) == ["error"] and line and "\n" not in line and "Traceback" not in line
        return line


def open_page(folder: Path) -> Page:
    """A page over this folder, with the cookie."""
    trust, context = Trust.at("127.0.0.1", 8721), make_context(folder)
    client = TestClient(create_app(context, trust), base_url=ORIGIN, headers={"origin": ORIGIN})
    assert client.get(f"/?token={trust.token}").status_code == 200
    return Page(client, context, trust)


@pytest.fixture(scope="module")
def page(quick_runs: dict[str, Path]) -> Page:
    """A page over three finished runs; tests only read."""
    return open_page(quick_runs["binary"].parent)


@pytest.fixture
def own_page(quick_runs: dict[str, Path], tmp_path: Path) -> Page:
    """A page over copies of the same three runs."""
    shutil.copytree(quick_runs["binary"].parent, tmp_path / "runs")
    return open_page(tmp_path / "runs")


@pytest.fixture(scope="session")
def page_over() -> Callable[[Path], Page]:
    """`open_page`."""
    return open_page
