"""Runs on texts and on images, opened: words and pixels are what their neurons weigh."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import nudgenet

ROW = {"part": "validation", "index": 2}


@pytest.fixture
def media_page(runs_on_media: Path, page_over: Callable[[Path], Any]) -> Any:
    return page_over(runs_on_media)


@pytest.mark.parametrize("name", ["bag", "transformer", "convnet"])
def test_every_layer_opens_and_adds_up(media_page: Any, name: str) -> None:
    network = media_page.post(f"runs/{name}/network", {"row": ROW})
    assert network["answer"]["probability"] > 0 and network["edges"]
    assert network["members_are"] == ("views" if name == "convnet" else "networks")
    run = nudgenet.load(name, media_page.context.runs)
    names = [layer["name"] for layer in network["layers"]]
    for layer in [*names, "output"]:
        where = {"row": ROW, "layer": layer, "neuron": 1}
        found = media_page.post(f"runs/{name}/neuron", where)
        products = sum(term["product"] for term in found["terms"])
        assert products + found["others"]["sum"] + found["bias"] == pytest.approx(found["sum"], abs=1e-6)
        update = media_page.post(f"runs/{name}/update", {**where, "step": 1, "mode": "exact"})
        assert update["at"]["exact"] and update["backward"]["dL_dsum"] is not None
        assert {"name", "before", "after"} <= set(update["update"]["terms"][0])
        items = media_page.post(f"runs/{name}/exciting", where)["items"]
        fired = [item["fired"] for item in items]
        assert fired == sorted(fired, reverse=True)
    real = media_page.post(
        f"runs/{name}/update", {"row": ROW, "layer": "output", "neuron": 0, "step": 2, "mode": "exact", "batch": "real"}
    )
    assert real["at"]["exact"] and real["update"]["gradient_norm"] > 0
    assert media_page.post(f"runs/{name}/responsible", {"row": ROW})["neurons"]
    assert np.sum(media_page.post(f"runs/{name}/confusion", {})["matrix"]) == run.summary["rows"]["validation"]


def test_words_are_what_a_bag_weighs(media_page: Any) -> None:
    cells = media_page.get("runs/bag/rows?from=2&count=1")["rows"][0]["cells"]
    found = media_page.post("runs/bag/neuron", {"row": ROW, "layer": "words", "neuron": 0})
    for term in found["terms"]:
        assert term["name"].strip("…") in cells["review"] and term["from"] == ["input", 0]
    above = media_page.post("runs/bag/neuron", {"row": ROW, "layer": "layer1", "neuron": 0})
    assert any(term["from"][0] == "words" for term in above["terms"])
    straight = media_page.post("runs/bag/neuron", {"row": ROW, "layer": "output", "neuron": 1})["terms"][-1]
    assert straight["from"] == ["straight", 1] and straight["weight"] == 3.0
    other = media_page.post("runs/bag/whatif", {"row": {"from": ROW, "values": {"review": "splendid charming"}}})
    shown = {column["name"]: column["text"] for column in other["columns"]}
    assert shown["review"] == "splendid charming"
    assert media_page.client.get("/api/runs/bag/item?part=validation&index=2").text == cells["review"]


def test_attention_is_over_the_words_of_a_text(media_page: Any) -> None:
    cells = media_page.get("runs/transformer/rows?from=2&count=1")["rows"][0]["cells"]
    found = media_page.post("runs/transformer/attention", {"row": ROW})
    assert found["words"][0] == "(start)" and len(found["words"]) == 1 + len(cells["review"].split())
    for layer in found["layers"]:
        heads = np.array(layer["heads"])
        assert heads.shape[1:] == (len(found["words"]),) * 2 and np.allclose(heads.sum(axis=2), 1, atol=1e-5)
    neuron = media_page.post("runs/transformer/neuron", {"row": ROW, "layer": "block1", "neuron": 0})
    assert neuron["terms"][0]["name"].split("”")[0].lstrip("“") in found["words"] and neuron["place"]


def test_pixels_are_what_a_stem_weighs(media_page: Any) -> None:
    found = media_page.post("runs/convnet/neuron", {"row": ROW, "layer": "stem", "neuron": 0})
    assert all(term["name"].split(" at row ")[0] in ("red", "green", "blue") for term in found["terms"])
    assert found["normalisation"]["kind"] == "batch" and len(found["place"]) == 2
    filters = media_page.post("runs/convnet/filters", {})
    assert filters["kind"] == "images" and np.array(filters["filters"][0]["values"]).shape[2] == 3
    answer = media_page.client.get("/api/runs/convnet/item?part=validation&index=2")
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).size[0] == Image.open(io.BytesIO(answer.content)).size[1]
