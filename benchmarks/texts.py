"""Texts: accuracy and processor seconds beside scikit-learn's TF-IDF with logistic regression, on the same split.

    .venv/bin/python benchmarks/texts.py [--data FOLDER] [--sets sst2,banking77,bbc_news,sms_spam] [--seeds 0] [--set NAME=VALUE ...]

The peers are fitted on the training rows of our run, and again on these and its validation rows, which they need not
hold out. `linear` is the run's own baseline: logistic regression on the terms that our network sees. All on one thread.
"""

from __future__ import annotations

import argparse
import tarfile
import tempfile
import time
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import nudgenet
from nudgenet.data.documents import texts_of
from nudgenet.data.given_test import read_with_test
from nudgenet.job import Log
from nudgenet.observer import Silent
from nudgenet.pipeline import prepare_table
from nudgenet.settings import make_settings, parse_assignments

DATA = Path(__file__).parents[1].parent / "shared" / "data"
# name -> source, target, test source, the column of the texts
SETS: dict[str, tuple[str, str | int | None, str | None, str]] = {
    "sst2": ("sst2/train.tsv", 2, "sst2/test.tsv", "column_1"),
    "banking77": ("banking77/train.csv", "category", "banking77/test.csv", "text"),
    "bbc_news": ("bbc_news", None, None, "text"),
    "sms_spam": ("sms_spam.tsv", 1, None, "column_2"),
}
PEERS: dict[str, tuple[dict[str, Any], float]] = {
    "words, C=1": ({}, 1.0),
    "words and pairs, C=1": ({"ngram_range": (1, 2), "sublinear_tf": True}, 1.0),
    "words and pairs, C=10": ({"ngram_range": (1, 2), "sublinear_tf": True}, 10.0),
}


def main() -> None:
    """Print a line per set, seed and model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with text/")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of our runs")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    chosen = parse_assignments(arguments.set)
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.sets.split(","):
            for seed in map(int, arguments.seeds.split(",")):
                for line in compare(name, seed, arguments.data / "text", Path(folder), chosen):
                    print(line, flush=True)


def compare(name: str, seed: int, data: Path, folder: Path, chosen: dict[str, str]) -> Iterator[str]:
    """Our run and the peers on one split."""
    source, target, test, column = SETS[name]
    if name == "bbc_news" and not (folder / name).exists():
        with tarfile.open(data / "bbc_news.tar.gz") as archive:
            archive.extractall(folder, filter="data")
    where = (folder if name == "bbc_news" else data) / source
    settings = {"seed": seed, **({} if test is None else {"test": str(data / test)}), **chosen}
    began = time.process_time()
    run = nudgenet.train(
        where, target, runs=folder / "runs", name=f"{name}-{seed}", observer=Silent(), **({"threads": 1} | settings)
    )
    whole = time.process_time() - began
    seconds, rows = run.summary["seconds"], run.summary["rows"]
    label = f"{name:10} seed {seed}"
    yield f"{label}  rows {rows['train']:,} / {rows['validation']:,} / {rows['test']:,}, {run.settings.network}"
    for part, scores in (("network", run.metrics["test"]), ("linear", run.baselines.get("linear", {}).get("test"))):
        if scores:
            yield f"{label}  {part:34} accuracy {scores['accuracy']:.4f}  log loss {scores['log_loss']:.4f}"
    yield f"{label}  whole run {whole:.1f} s of the processor, training {seconds['train']:.1f} s; {run.verdict.state}"
    yield from peers(label, where, target, column, settings)


def peers(label: str, where: Path, target: str | int | None, column: str, given: dict[str, Any]) -> Iterator[str]:
    """scikit-learn on the rows of the same split."""
    settings = make_settings(target=target, **given)
    rows: dict[str, Any] = {}

    def reading() -> Any:
        raw, num_test = read_with_test(where, settings)
        rows["texts"] = np.array([text or "" for text in texts_of(raw.table.column(column)).to_pylist()], dtype=object)
        return raw, num_test

    table = prepare_table(partial(reading), settings, Log(Silent()))
    texts, targets, parts = rows["texts"], table.targets, table.parts
    both = np.concatenate([parts.train, parts.validation])
    for name, (options, freedom) in PEERS.items():
        for what, fitted_on in (("train", parts.train), ("train + validation", both)):
            began = time.process_time()
            vectorizer = TfidfVectorizer(**options)
            model = LogisticRegression(C=freedom, max_iter=1_000)
            model.fit(vectorizer.fit_transform(texts[fitted_on]), targets[fitted_on])
            answers = model.predict_proba(vectorizer.transform(texts[parts.test]))
            seconds = time.process_time() - began
            truth = targets[parts.test]
            accuracy = float((model.classes_[answers.argmax(axis=1)] == truth).mean())
            loss = float(-np.log(answers[np.arange(len(truth)), truth].clip(1e-9)).mean())
            yield f"{label}  {name}, {what:19} accuracy {accuracy:.4f}  log loss {loss:.4f}  {seconds:.1f} s"


if __name__ == "__main__":
    main()
