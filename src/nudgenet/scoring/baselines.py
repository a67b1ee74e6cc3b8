"""The simple models that a network must beat: always the same answer, a linear model, gradient boosting.

They see the same prepared rows of the same parts as the network does, so a difference in score is a
difference between models and nothing else. scikit-learn is imported where a model is fitted: it takes a
second, which whoever wants no baselines need not spend.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_info, threadpool_limits

from nudgenet.records import TaskKind
from nudgenet.scoring.metrics import UNSEEN_ROWS, Array

# Limits that keep a baseline to tens of seconds on two cores; what they cut is said in `note`.
MAX_CELLS = 50_000_000  # training rows x features that a model is handed (as float64: 400 MB)
MAX_BOOSTING_WORK = 60_000_000  # (training rows + HISTOGRAM_ROWS) x features x trees per iteration
HISTOGRAM_ROWS = 15_000  # a tree's histograms take about as long per feature as this many rows
MAX_TREES = 20_000  # iterations x trees per iteration
MAX_LINEAR_WORK = 20_000_000_000  # training rows x features x classes x iterations
MAX_CATEGORIES = 255  # HistGradientBoosting: more levels than this cannot be a category for it
ONE_THREAD_BELOW = 1_000_000  # (training rows + HISTOGRAM_ROWS) x features: more threads would gain little
FREEDOM_OF_TERMS = (
    10.0  # scikit-learn's C: at length 1 a text's weights are small, and need larger factors than columns
)
SPARSE_FROM = 256  # one-hot columns from which a sparse matrix is the smaller one


@dataclass(frozen=True)
class TableArrays:
    """The prepared rows of one part, as numpy.

    numbers: float32 `(rows, num_numbers)`, standardised. categories: int64 `(rows, num_categories)` codes, below
    the `cardinalities`. targets: int64 `(rows,)` class indices, or float64 `(rows,)` in the user's unit.
    weights: how much each row counts, `(rows,)`, or None.
    terms: of texts, sparse `(rows, terms)`: how much each term counts in each; None without texts.
    """

    numbers: Array
    categories: Array
    cardinalities: tuple[int, ...]
    targets: Array
    weights: Array | None = None
    terms: Any = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def num_features(self) -> int:
        """Numbers and categories together."""
        return int(self.numbers.shape[1] + self.categories.shape[1])

    @property
    def num_stored(self) -> int:
        """Numbers, categories and the terms of a text: how many there are in a row, on average."""
        return self.num_features + (0 if self.terms is None else -(-self.terms.nnz // max(1, len(self))))


@dataclass(frozen=True)
class Baseline:
    """A fitted rival's predictions, in the form that `score` takes (regression: in the user's unit)."""

    name: str  # "majority" or "mean", "linear", "boosting"
    description: str  # one plain sentence: what it is, and what was cut
    seconds: float  # to fit and to predict
    validation: Array
    test: Array
    note: str = ""  # what makes it no equal of the network: "without the texts"; said wherever its name is


ALL_BASELINES = ("majority", "mean", "linear", "boosting")
Fitted = tuple[str, Callable[[TableArrays], Array], list[str]]  # description, rows -> predictions, what was cut


def fit_baselines(
    kind: TaskKind,
    parts: Mapping[str, TableArrays],
    *,
    num_classes: int,
    seed: int,
    names: Collection[str] = ALL_BASELINES,
    num_rows: int | None = None,
) -> Iterator[Baseline]:
    """Fit each baseline on `parts["train"]` and yield it with its predictions on "validation" and "test".

    Args:
        parts: "train", "validation" and "test"; the last two may have zero rows.
        num_classes: of the task; every class has a column, also one that training lacks. Ignored for a regression.
        seed: gives the same baselines again.
        names: which of them.
        num_rows: that the network learned from, if "train" holds only some of them.
    """
    train = parts["train"]
    total = len(train) if num_rows is None else num_rows
    fits: dict[str, Callable[[], Fitted]] = {
        "mean" if kind == "regression" else "majority": lambda: _fit_constant(kind, train, num_classes),
        "linear": lambda: _fit_linear(kind, train, num_classes, seed, total),
        "boosting": lambda: _fit_boosting(kind, train, num_classes, seed, total),
    }
    for name, fit in fits.items():
        if name not in names:
            continue
        start = time.perf_counter()
        with _quiet_solvers(), _few_threads(train):
            description, predict, cuts = fit()
            validation, test = predict(parts["validation"]), predict(parts["test"])
        note = "; ".join(cuts)
        description += f" ({note})" if note else ""
        yield Baseline(name, description, time.perf_counter() - start, validation, test, note)


def _fit_constant(kind: TaskKind, train: TableArrays, num_classes: int) -> Fitted:
    if kind == "regression":
        mean = np.average(train.targets, weights=train.weights)
        return "always answers the mean of the training rows", lambda rows: np.full(len(rows), mean), []
    counts = np.bincount(train.targets, weights=train.weights, minlength=num_classes)
    frequencies = _with_unseen((counts / counts.sum())[None], np.unique(train.targets), len(train))[0]
    description = "always answers the most frequent class, with the class frequencies of the training rows"
    return description, lambda rows: np.tile(frequencies, (len(rows), 1)), []


def _fit_linear(kind: TaskKind, train: TableArrays, num_classes: int, seed: int, total: int) -> Fitted:
    from sklearn.linear_model import LogisticRegression, Ridge

    if train.num_stored == 0 or _one_answer(kind, train):
        return _fit_constant(kind, train, num_classes)
    train, cuts = _sample(train, MAX_CELLS // train.num_stored, seed, total)
    encode = _one_hot_encoder(train)
    features = encode(train)
    of_what = "columns" if train.terms is None else "terms' weights (TF-IDF) and of the other columns"
    if kind == "regression":
        fitted = _fit_standardised(Ridge(), features, train)
        return f"ridge regression: a weighted sum of the {of_what}", _predictor(encode, fitted), cuts
    work = features.size * num_classes  # the size of a sparse matrix is its number of stored values
    freedom = 1.0 if train.terms is None else FREEDOM_OF_TERMS
    model = LogisticRegression(C=freedom, max_iter=int(np.clip(MAX_LINEAR_WORK // work, 50, 1000)))
    model.fit(features, train.targets, sample_weight=train.weights)
    if int(np.max(model.n_iter_)) >= model.max_iter:
        cuts.append(f"stopped after {model.max_iter} iterations")
    predict = _predictor(encode, _class_columns(model, num_classes, len(train)), (num_classes,))
    return f"logistic regression: a weighted sum of the {of_what}", predict, cuts


def _fit_boosting(kind: TaskKind, train: TableArrays, num_classes: int, seed: int, total: int) -> Fitted:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    if train.num_features == 0 or _one_answer(kind, train):
        return _fit_constant(kind, train, num_classes)
    trees = num_classes if kind == "multiclass" else 1  # per iteration
    max_rows = min(MAX_CELLS, MAX_BOOSTING_WORK // trees) // train.num_features
    train, cuts = _sample(train, max_rows, seed, total)
    histogram_work = HISTOGRAM_ROWS * train.num_features * trees
    iterations = max(10, min(MAX_TREES // trees, 100 * MAX_BOOSTING_WORK // histogram_work))
    options: dict[str, Any] = {
        "random_state": seed % 2**32,
        "categorical_features": [False] * train.numbers.shape[1] + [n <= MAX_CATEGORIES for n in train.cardinalities],
    }
    if iterations < 100:  # the library's default
        options["max_iter"] = iterations
        cuts.append(f"stopped after {iterations} iterations")
    cuts += [] if train.terms is None else ["without the texts"]
    description = "gradient boosting: many small decision trees, each correcting those before it"
    if kind == "regression":
        fitted = _fit_standardised(HistGradientBoostingRegressor(**options), _side_by_side(train), train)
        return description, _predictor(_side_by_side, fitted), cuts
    if np.bincount(train.targets)[np.unique(train.targets)].min() < 2:
        options["early_stopping"] = False  # the library's own hold-out is stratified, and fails on a single row
    model = HistGradientBoostingClassifier(**options)
    model.fit(_side_by_side(train), train.targets, sample_weight=train.weights)
    predict = _predictor(_side_by_side, _class_columns(model, num_classes, len(train)), (num_classes,))
    return description, predict, cuts


def _one_answer(kind: TaskKind, train: TableArrays) -> bool:
    """A single class: any model could only answer the same for every row."""
    return kind != "regression" and len(np.unique(train.targets)) < 2


def _sample(train: TableArrays, max_rows: int, seed: int, total: int) -> tuple[TableArrays, list[str]]:
    """At most `max_rows` training rows, drawn by seed, and the words that say so if they are not all `total`.

    The first row of every class stays in the sample, so that a rare class is not lost.
    """
    max_rows = max(max_rows, 1000)
    if len(train) <= max_rows:
        return train, _of_rows(len(train), total)
    rows = np.random.default_rng(seed).choice(len(train), size=max_rows, replace=False)
    if train.targets.dtype.kind == "i":
        rows = np.union1d(rows, np.unique(train.targets, return_index=True)[1])
    rows = np.sort(rows)
    sample = replace(
        train,
        numbers=train.numbers[rows],
        categories=train.categories[rows],
        targets=train.targets[rows],
        weights=None if train.weights is None else train.weights[rows],
        terms=None if train.terms is None else train.terms[rows],
    )
    return sample, _of_rows(len(rows), total)


def _of_rows(count: int, total: int) -> list[str]:
    return [f"fitted on {count:,} of {total:,} training rows"] if count < total else []


def _one_hot_encoder(train: TableArrays) -> Callable[[TableArrays], Any]:
    """Rows -> numbers, one column per category level, terms: dense, or sparse when there are many levels, or terms."""
    from sklearn.preprocessing import OneHotEncoder

    is_sparse = sum(train.cardinalities) >= SPARSE_FROM or train.terms is not None
    levels = [np.arange(cardinality) for cardinality in train.cardinalities]
    encoder = OneHotEncoder(categories=levels, handle_unknown="ignore", sparse_output=is_sparse)
    if levels:
        encoder.fit(train.categories)

    def encode(rows: TableArrays) -> Any:
        numbers = rows.numbers.astype(np.float64)
        if is_sparse:
            parts = [sparse.csr_array(numbers), *([encoder.transform(rows.categories)] if levels else [])]
            return sparse.hstack([*parts, *([] if rows.terms is None else [rows.terms])], format="csr")
        if not levels:
            return numbers
        return np.hstack([numbers, encoder.transform(rows.categories)])

    return encode


def _side_by_side(rows: TableArrays) -> Array:
    """Numbers, then category codes, as trees take them: float64 `(rows, num_features)`."""
    return np.hstack([rows.numbers.astype(np.float64), rows.categories.astype(np.float64)])


def _fit_standardised(model: Any, features: Any, train: TableArrays) -> Callable[[Any], Array]:
    """Fit a regression on standardised targets: its tolerances must not depend on the target's unit."""
    center = np.average(train.targets, weights=train.weights)
    scale = float(np.std(train.targets)) or 1.0
    model.fit(features, (train.targets - center) / scale, sample_weight=train.weights)
    return lambda features: np.asarray(model.predict(features)) * scale + center


def _class_columns(model: Any, num_classes: int, num_rows: int) -> Callable[[Any], Array]:
    """Probabilities with a column for every class of the task, also for one that the `num_rows` of training lacked."""

    def predict(features: Any) -> Array:
        probabilities = np.zeros((features.shape[0], num_classes))
        probabilities[:, model.classes_] = model.predict_proba(features)
        return _with_unseen(probabilities, model.classes_, num_rows)

    return predict


def _with_unseen(probabilities: Array, trained: Array, num_rows: int) -> Array:
    """Probabilities `(rows, classes)` that leave something for classes outside of `trained`.

    Each counts as half a row more than the `num_rows`, or a single row of it would cost a rival more than all others.
    """
    unseen = np.setdiff1d(np.arange(probabilities.shape[1]), trained)
    share = UNSEEN_ROWS / (num_rows + UNSEEN_ROWS * len(unseen))
    probabilities = probabilities * (1 - share * len(unseen))
    probabilities[:, unseen] = share
    return probabilities


def _predictor(
    encode: Callable[[TableArrays], Any], predict: Callable[[Any], Array], answer_shape: tuple[int, ...] = ()
) -> Callable[[TableArrays], Array]:
    """Rows -> predictions `(rows, *answer_shape)`; scikit-learn refuses zero rows, so they never reach it."""
    return lambda rows: predict(encode(rows)) if len(rows) else np.zeros((0, *answer_shape))


@contextmanager
def _quiet_solvers() -> Iterator[None]:
    """A baseline that stopped at its iteration limit is still a fair rival: no warning about it reaches a user."""
    from scipy.linalg import LinAlgWarning
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", LinAlgWarning)
        yield


@contextmanager
def _few_threads(train: TableArrays) -> Iterator[None]:
    """One thread for a small table, else one less than the caller allows; the caller's counts are given back.

    Boosting's threads wait for one another thousands of times, and while another program holds one of their
    processors, all wait for that one: 300 rows were seen to take ten seconds instead of a tenth of one.
    """
    allowed = max((pool["num_threads"] for pool in threadpool_info()), default=1)
    is_small = (len(train) + HISTOGRAM_ROWS) * train.num_features < ONE_THREAD_BELOW
    with threadpool_limits(limits=1 if is_small else max(1, allowed - 1)):
        yield
