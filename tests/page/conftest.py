"""A page over a folder of runs, and a browser that has its cookie."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

import nudgenet
from conftest import FILLING, KIND, UNKIND, write_pictures
from nudgenet.page.context import Context
from nudgenet.page.security import Trust
from nudgenet.page.server import create_app, make_context

QUICK: dict[str, Any] = {"epochs": 1, "batch_size": 16, "baselines": False}
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


@pytest.fixture(scope="session")
def reviews() -> dict[str, Any]:
    """A table with a column of texts, one of numbers, and the target `mood`."""
    random = np.random.default_rng(0)
    is_kind = random.integers(0, 2, 120)
    said = [
        " ".join(random.permutation([*random.choice(KIND if kind else UNKIND, 2), *random.choice(FILLING, 7)]))
        for kind in is_kind
    ]
    return {"review": said, "stars": random.normal(size=120), "mood": np.where(is_kind, "good", "bad")}


@pytest.fixture(scope="session")
def runs_on_media(tmp_path_factory: pytest.TempPathFactory, reviews: dict[str, Any]) -> Path:
    """A folder with three runs: `bag`, `transformer` and `convnet`."""
    folder, random = tmp_path_factory.mktemp("media"), np.random.default_rng(0)
    for network in ("bag", "transformer"):
        rows = reviews if network == "transformer" else {name: reviews[name] for name in ("review", "mood")}
        nudgenet.train(rows, "mood", runs=folder, name=network, network=network, kinds={"review": "text"}, **QUICK)
    pixels = random.integers(0, 200, (90, 12, 12, 3), dtype=np.uint8)
    bright = random.integers(0, 2, 90)
    pixels[bright == 1, 3:7, 3:7] = 250
    nudgenet.train((pixels, bright), runs=folder, name="convnet", width=4, **QUICK)
    return folder


@pytest.fixture(scope="session")
def pretrained_runs(tmp_path_factory: pytest.TempPathFactory, reviews: dict[str, Any]) -> Path:
    """A folder with runs from tiny pretrained networks: `text`, `text-beside` (with a number), `picture` and `sound`."""
    pytest.importorskip("transformers")
    from tiny_model import write_image_model, write_model, write_sound_model

    folder = tmp_path_factory.mktemp("pretrained")
    given = {
        **QUICK,
        "runs": folder / "runs",
        "epochs": 3,
        "frozen_epochs": 2,
        "unfreeze": True,
        "precision": "float32",
    }
    start = str(write_model(folder / "bert"))
    for name, ignored in (("text", "stars"), ("text-beside", "")):
        nudgenet.train(reviews, "mood", name=name, start_from=start, kinds={"review": "text"}, ignore=ignored, **given)
    source = write_pictures(folder / "pictures")
    nudgenet.train(source, name="picture", start_from=str(write_image_model(folder / "vit")), **given)
    source = write_heard(folder / "sounds")
    nudgenet.train(source, "class", name="sound", start_from=str(write_sound_model(folder / "wav2vec2")), **given)
    return folder / "runs"


def write_heard(folder: Path, count: int = 20) -> Path:
    """Sounds in a table of paths, with how loud each was beside them, and a class that nobody can hear."""
    import soundfile

    random = np.random.default_rng(0)
    folder.mkdir()
    with (folder / "sounds.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "gain", "class"])
        for place in range(2 * count):
            moments, gain = np.arange(2_400) / 8_000, 0.2 + 0.3 * random.random()
            samples = gain * np.sin(2 * np.pi * (300 + 700 * (place % 2)) * moments) + 0.02 * random.normal(size=2_400)
            soundfile.write(folder / f"{place}.wav", samples, 8_000)
            writer.writerow([f"{place}.wav", f"{gain:.3f}", ("low", "high")[random.integers(2)]])
    return folder / "sounds.csv"
