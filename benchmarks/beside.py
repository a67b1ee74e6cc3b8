"""Texts beside pictures, numbers and categories: does a column of texts help where it tells something, and harm nowhere?

    .venv/bin/python benchmarks/beside.py [--data FOLDER] [--seeds 0,1] [--rows 1200] [--only NAME]

Real rows are put together: clothes (Fashion-MNIST), prices of districts (california) or customers (telco_churn) beside
texts that have nothing to do with them (bbc_news), or whose sentiment (sst2) is part of what is asked for. Each is
trained with its texts and without. One thread, no baselines; the mean over seeds, and every seed's score.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

import nudgenet
from nudgenet.data.idx import load_idx
from nudgenet.observer import Silent

DATA = Path(__file__).parents[1].parent / "shared" / "data"
SHOES = (5, 7, 9)  # sandals, sneakers, boots


def main() -> None:
    """Print a line per table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--rows", type=int, default=1_200)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    print("| rows | texts | score | with texts | without |\n|---|---|---|---|---|")
    for name, make in TABLES.items():
        if arguments.only not in name:
            continue
        table, texts, metric, count = make(arguments.data, arguments.rows)
        scores = [
            [scored(table, metric, int(seed), ignore) for seed in arguments.seeds.split(",")] for ignore in ((), "text")
        ]
        shown = (f"{statistics.mean(some):.3f} ({', '.join(f'{score:.3f}' for score in some)})" for some in scores)
        print(f"| {count:,} of {name} | {texts} | {metric} | {' | '.join(shown)} |", flush=True)


def scored(table: Any, metric: str, seed: int, ignore: Any) -> float:
    """A run's score on its test part."""
    given = {"seed": seed, "ignore": ignore, "baselines": False, "record": False, "threads": 1}
    with tempfile.TemporaryDirectory() as folder:
        return nudgenet.train(table, "y", runs=folder, observer=Silent(), **given).metrics["test"][metric]


def pictures(data: Path, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and classes of the first clothes."""
    folder = data / "images" / "fashion_mnist_idx"
    found = (load_idx(next(folder.glob(f"train-{what}*")))[:rows] for what in ("images", "labels"))
    pixels, labels = found
    return pixels, labels


def as_files(pixels: np.ndarray) -> list[bytes]:
    """Each as a PNG file's bytes."""
    files = []
    for picture in pixels:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        files.append(buffer.getvalue())
    return files


def articles(data: Path, rows: int) -> list[str]:
    """News that have nothing to do with anything else here."""
    with tarfile.open(data / "text" / "bbc_news.tar.gz") as archive:
        members = [member for member in archive.getmembers() if member.isfile() and member.name.endswith(".txt")]
        chosen = np.random.default_rng(0).permutation(len(members))[:rows]
        files = (archive.extractfile(members[number]) for number in chosen)
        return [file.read().decode("latin-1")[:1_500] for file in files if file is not None]


def opinions(data: Path, rows: int) -> tuple[list[str], np.ndarray]:
    """Sentences about films, and whether they are kind."""
    table = pd.read_csv(data / "text" / "sst2" / "train.tsv", sep="\t", header=None, quoting=3).iloc[:rows]
    return table[0].tolist(), table[1].to_numpy()


Made = tuple[Any, str, str, int]


def clothes(data: Path, rows: int) -> Made:
    """Classes that the pictures tell, beside news."""
    pixels, labels = pictures(data, rows)
    return {"image": as_files(pixels), "text": articles(data, rows), "y": labels}, "say nothing", "accuracy", rows


def few_clothes(data: Path, rows: int) -> Made:
    """The same with an eighth of the rows."""
    return clothes(data, rows // 8)


def shoes(data: Path, rows: int) -> Made:
    """Four classes: a shoe or not, and whether a sentence is kind."""
    pixels, labels = pictures(data, rows)
    sentences, is_kind = opinions(data, rows)
    classes = [f"{shoe} {kind}" for shoe, kind in zip(np.isin(labels, SHOES), is_kind, strict=True)]
    return {"image": as_files(pixels), "text": sentences, "y": classes}, "tell half", "accuracy", rows


def districts(data: Path, rows: int) -> Made:
    """Prices beside news."""
    table = pd.read_csv(data / "tables" / "california.csv.gz").sample(rows, random_state=0)
    table = table.rename(columns={"median_house_value": "y"})
    return table.assign(text=articles(data, rows)), "say nothing", "r2", rows


def priced(data: Path, rows: int) -> Made:
    """Prices to which a kind sentence adds 100,000."""
    table, _, metric, _ = districts(data, rows)
    sentences, is_kind = opinions(data, rows)
    return table.assign(text=sentences, y=table["y"].to_numpy() + 100_000 * is_kind), "tell a part", metric, rows


def customers(data: Path, rows: int) -> Made:
    """Customers who leave or stay, beside news."""
    table = pd.read_csv(data / "tables" / "telco_churn.csv.gz").sample(rows, random_state=0)
    table = table.drop(columns="customerID").rename(columns={"Churn": "y"})
    return table.assign(text=articles(data, rows)), "say nothing", "auc", rows


TABLES: dict[str, Callable[[Path, int], Made]] = {
    "clothes": clothes,
    "clothes, few": few_clothes,
    "clothes and sentences": shoes,
    "districts": districts,
    "districts and sentences": priced,
    "customers": customers,
}


if __name__ == "__main__":
    main()
