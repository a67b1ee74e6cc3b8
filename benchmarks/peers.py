"""One table with one rival, in a process of its own; started by `tables.py`, which says how to make its venv.

    python benchmarks/peers.py METHOD FOLDER SEED
    python benchmarks/peers.py versions

FOLDER holds `learn.parquet` and `test.parquet` (numbers are float64 with NaN, categories are text with null, the column
`target` is a class number or a float64) and `job.json` (`kind`, `num_classes`). Written into it: `METHOD.npy`, the probabilities
(rows, classes) or numbers (rows,) of the test rows. The last line on stdout is JSON with the seconds and megabytes.

Every method has its library's defaults, a seed, and the preparation that its documentation asks for:
missing numbers are the median with an indicator where a method takes none, numbers are standardised and categories
one-hot where it is not done inside. nudgenet is not imported here.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

MISSING = "(missing)"
MOST_LEVELS = 254  # histogram boosting takes at most 255 categories; the rarest share one


def linear(kind: str, seed: int, data: pd.DataFrame) -> Any:
    """Logistic regression or ridge, on standardised numbers and one-hot categories."""
    from sklearn.linear_model import LogisticRegression, Ridge

    model = Ridge() if kind == "regression" else LogisticRegression(max_iter=1000, random_state=seed)
    return one_hot_pipeline(data, model)


def sk_mlp(kind: str, seed: int, data: pd.DataFrame) -> Any:
    """scikit-learn's multilayer perceptron, on the same; the target of a regression is standardised."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.preprocessing import StandardScaler

    if kind != "regression":
        return one_hot_pipeline(data, MLPClassifier(random_state=seed))
    model = one_hot_pipeline(data, MLPRegressor(random_state=seed))
    return TransformedTargetRegressor(model, transformer=StandardScaler())


def hgb(kind: str, seed: int, data: pd.DataFrame) -> Any:
    """scikit-learn's histogram gradient boosting; it takes missing numbers as they are."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    categories = category_columns(data)
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        max_categories=MOST_LEVELS,
    )
    encode = ColumnTransformer([("categories", encoder, categories)], remainder="passthrough")
    model = HistGradientBoostingRegressor if kind == "regression" else HistGradientBoostingClassifier
    return make_pipeline(encode, model(random_state=seed, categorical_features=list(range(len(categories)))))


class WithoutGaps:
    """A model that takes no missing values, behind medians with indicators; categories get a level for it."""

    def __init__(self, model: Any, fit_arguments: dict[str, Any]) -> None:
        self.model, self.fit_arguments = model, fit_arguments

    def fit(self, data: pd.DataFrame, targets: np.ndarray) -> None:
        """Learns the medians, then the model."""
        numbers = number_columns(data)
        self.medians = data[numbers].median().fillna(0.0)
        self.gappy = [name for name in numbers if data[name].isna().any()]
        self.model.fit(self._filled(data), targets, **self.fit_arguments)
        self.classes_ = getattr(self.model, "classes_", None)

    def predict(self, data: pd.DataFrame) -> np.ndarray:
        """The model's answers."""
        return self.model.predict(self._filled(data))

    def predict_proba(self, data: pd.DataFrame) -> np.ndarray:
        """The model's probabilities."""
        return self.model.predict_proba(self._filled(data))

    def _filled(self, data: pd.DataFrame) -> pd.DataFrame:
        gaps = data[self.gappy].isna().astype(np.float64).add_prefix("missing_")
        categories = fill_categories(data)[category_columns(data)]
        return pd.concat([data[self.medians.index].fillna(self.medians), gaps, categories], axis=1)


def realmlp(kind: str, seed: int, data: pd.DataFrame) -> Any:
    """RealMLP with tuned defaults (arXiv 2407.04491)."""
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    model = RealMLP_TD_Regressor if kind == "regression" else RealMLP_TD_Classifier
    return WithoutGaps(model(random_state=seed, device="cpu"), {"cat_col_names": category_columns(data)})


def tabm(kind: str, seed: int, data: pd.DataFrame) -> Any:
    """TabM with its authors' defaults (arXiv 2410.24210)."""
    from pytabkit import TabM_D_Classifier, TabM_D_Regressor

    model = TabM_D_Regressor if kind == "regression" else TabM_D_Classifier
    return WithoutGaps(model(random_state=seed, device="cpu"), {"cat_col_names": category_columns(data)})


class CatBoost:
    """CatBoost with its defaults; missing numbers are its own business, missing categories a level."""

    def __init__(self, kind: str, seed: int, data: pd.DataFrame) -> None:
        from catboost import CatBoostClassifier, CatBoostRegressor

        model = CatBoostRegressor if kind == "regression" else CatBoostClassifier
        self.model = model(random_seed=seed, verbose=False, allow_writing_files=False)
        self.categories = category_columns(data)

    def fit(self, data: pd.DataFrame, targets: np.ndarray) -> None:
        """On all rows, without a validation part: the package's default."""
        self.model.fit(fill_categories(data), targets, cat_features=self.categories)
        self.classes_ = getattr(self.model, "classes_", None)

    def predict(self, data: pd.DataFrame) -> np.ndarray:
        """The model's answers."""
        return self.model.predict(fill_categories(data))

    def predict_proba(self, data: pd.DataFrame) -> np.ndarray:
        """The model's probabilities."""
        return self.model.predict_proba(fill_categories(data))


METHODS: dict[str, Callable[[str, int, pd.DataFrame], Any]] = {
    "linear": linear,
    "hgb": hgb,
    "sk_mlp": sk_mlp,
    "catboost": CatBoost,
    "realmlp": realmlp,
    "tabm": tabm,
}
PACKAGES = ("scikit-learn", "numpy", "pandas", "torch", "catboost", "pytabkit")


# ------------------------------------------------------------------ preparation


def number_columns(data: pd.DataFrame) -> list[str]:
    """The float columns."""
    return [name for name in data.columns if pd.api.types.is_float_dtype(data[name])]


def category_columns(data: pd.DataFrame) -> list[str]:
    """The text columns."""
    return [name for name in data.columns if not pd.api.types.is_float_dtype(data[name])]


def fill_categories(data: pd.DataFrame) -> pd.DataFrame:
    """Missing categories as a level of their own."""
    return data.assign(**{name: data[name].astype(object).fillna(MISSING) for name in category_columns(data)})


def one_hot_pipeline(data: pd.DataFrame, model: Any) -> Any:
    """Medians with indicators, standardised; one-hot categories; then the model."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    categories = make_pipeline(
        SimpleImputer(strategy="constant", fill_value=MISSING, missing_values=None),
        OneHotEncoder(handle_unknown="ignore", max_categories=MOST_LEVELS),
    )
    encode = ColumnTransformer(
        [("numbers", numbers, number_columns(data)), ("categories", categories, category_columns(data))]
    )
    return make_pipeline(encode, model)


# ------------------------------------------------------------------ one job


def load(path: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """(features, targets) of a part; text columns are plain Python strings with None."""
    data = pd.read_parquet(path)
    targets = data.pop("target").to_numpy()
    for name in category_columns(data):
        text = data[name].astype(object)
        data[name] = text.where(text.notna(), None)
    return data, targets


def all_classes(probabilities: np.ndarray, known: Any, num_classes: int) -> np.ndarray:
    """A column for every class: one that no learned row has gets probability 0."""
    full = np.zeros((len(probabilities), num_classes))
    full[:, np.asarray(known).astype(np.int64).ravel()] = probabilities
    return full


def memory_mb() -> tuple[float, float]:
    """(resident now, the most since the process began), megabytes."""
    try:
        # Not getrusage: its peak includes that of the process that started this one.
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines["VmRSS"].split()[0]) / 1024, int(lines["VmHWM"].split()[0]) / 1024
    except (OSError, KeyError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
        return peak, peak


def versions() -> dict[str, str]:
    """The versions of what is compared, as installed here."""
    found = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def run(method: str, folder: Path, seed: int) -> dict[str, float]:
    """Fit, predict, and write the predictions; gives seconds and megabytes."""
    job = json.loads((folder / "job.json").read_text())
    learn, targets = load(folder / "learn.parquet")
    test, _ = load(folder / "test.parquet")
    model = METHODS[method](job["kind"], seed, learn)
    before, _ = memory_mb()
    began = time.perf_counter()
    model.fit(learn, targets)
    fitted = time.perf_counter()
    if job["kind"] == "regression":
        answers = np.asarray(model.predict(test), np.float64).ravel()
    else:
        answers = all_classes(np.asarray(model.predict_proba(test)), model.classes_, job["num_classes"])
    done = time.perf_counter()
    np.save(folder / f"{method}.npy", answers)
    return {
        "fit_s": fitted - began,
        "predict_s": done - fitted,
        "memory_before_mb": before,
        "memory_peak_mb": memory_mb()[1],
    }


def main() -> None:
    if sys.argv[1:] == ["versions"]:
        print(json.dumps(versions()))
        return
    if len(sys.argv) != 4 or sys.argv[1] not in METHODS:
        raise SystemExit(__doc__)
    warnings.simplefilter("ignore")  # about convergence and the like: the scores tell
    print("\n" + json.dumps(run(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))


if __name__ == "__main__":
    main()
