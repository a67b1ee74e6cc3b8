"""A run in a form that others read: the same probabilities, wherever the architecture's classifier can give them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nudgenet
from conftest import KIND, UNKIND
from nudgenet.errors import RunError
from nudgenet.exporting import export
from nudgenet.observer import Silent
from nudgenet.run import Run
from tiny_model import write_model

transformers = pytest.importorskip("transformers")

QUICK: dict[str, Any] = {"threads": 1, "precision": "float32", "baselines": False, "epochs": 6, "frozen_epochs": 4}
Nudge = Callable[..., tuple[int, str, str]]


def write_reviews(path: Path, num_rows: int = 120) -> Path:
    random = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["review", "again", "minutes", "liked", "stars"])
        for _ in range(num_rows):
            is_kind = bool(random.integers(2))
            text, other = (
                " ".join(random.choice(KIND if is_kind else UNKIND, random.integers(2, 9))) for _ in range(2)
            )
            stars = 40 + 10 * is_kind + random.normal()
            writer.writerow([text, other, f"{random.normal():.3f}", "yes" if is_kind else "no", f"{stars:.2f}"])
    return path


def train(folder: Path, kind: str = "bert", target: str = "liked", **settings: Any) -> Run:
    model = write_model(folder / "model", kind)
    given = QUICK | {"start_from": str(model), "unfreeze": True, "learning_rate": 0.02} | settings
    given["kinds"] = {name: "text" for name in ("review", "again") if name not in given.get("ignore", "again")}
    given.setdefault("ignore", "again,minutes," + ("stars" if target == "liked" else "liked"))
    return nudgenet.train(
        write_reviews(folder / "reviews.csv"), target, runs=folder, name="run", observer=Silent(), **given
    )


def texts_of(folder: Path) -> list[str]:
    with (folder / "reviews.csv").open() as file:
        return [row["review"] for row in csv.DictReader(file)]


def their_outputs(folder: Path, texts: list[str]) -> torch.Tensor:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    given = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        outputs: torch.Tensor = model(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).logits
    return outputs


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "distilbert", "modernbert"])
def test_texts(kind: str, tmp_path: Path) -> None:
    run = train(tmp_path, kind)
    export(run, tmp_path / "out", "transformers")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["id2label"] == {"0": "no", "1": "yes"} and config["label2id"] == {"no": 0, "yes": 1}
    texts = texts_of(tmp_path)
    theirs = their_outputs(tmp_path / "out", texts).softmax(dim=1).numpy()
    ours = run.predict_proba({"review": texts})
    assert np.ptp(ours[:, 0]) > 0.3
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_numbers_come_in_the_targets_unit(tmp_path: Path) -> None:
    run = train(tmp_path, target="stars")
    export(run, tmp_path / "out", "transformers")
    texts = texts_of(tmp_path)
    ours = run.predict({"review": texts})
    assert np.ptp(ours) > 5
    np.testing.assert_allclose(ours, their_outputs(tmp_path / "out", texts)[:, 0].numpy(), atol=1e-2)


def test_what_no_classifier_could_answer(tmp_path: Path) -> None:
    for name, settings, expected in (
        ("beside", {"ignore": "again,stars"}, "also reads other columns"),
        ("two", {"ignore": "minutes,stars"}, "also reads other columns"),
        ("albert", {"kind": "albert"}, "the mean over all tokens"),
    ):
        (tmp_path / name).mkdir()
        with pytest.raises(RunError, match=expected):
            export(train(tmp_path / name, **settings), tmp_path / name / "out", "transformers")  # type: ignore[arg-type]
        assert not (tmp_path / name / "out").exists()


def test_the_command_refuses_in_one_line(nudge: Nudge, houses: Path, tmp_path: Path) -> None:
    run = nudgenet.train(houses, "dear", runs=tmp_path, name="run", observer=Silent(), epochs=1, baselines=False)
    for arguments, expected in (
        ((run.path, tmp_path / "out", "--format", "pickle"), "There is no format `pickle`"),
        ((run.path, tmp_path, "--format", "transformers"), "There is something at this place already"),
        ((tmp_path / "nothing", tmp_path / "out"), "There is no such run"),
    ):
        code, out, err = nudge("export", *arguments, "--runs", tmp_path)
        assert code == 2 and out == "" and expected in err and err.count("\n") == 1


def test_what_was_trained_beside_a_trunk_is_added_to_it(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    run = train(tmp_path, lora=2)
    assert "beside its knobs" in {decision.what: decision.chosen for decision in run.decisions}["large trunk"]
    export(run, tmp_path / "out", "transformers")
    texts = texts_of(tmp_path)
    theirs = their_outputs(tmp_path / "out", texts).softmax(dim=1).numpy()
    np.testing.assert_allclose(run.predict_proba({"review": texts}), theirs, atol=1e-4)
