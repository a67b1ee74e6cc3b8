"""The scikit-learn face: `NetworkClassifier` and `NetworkRegressor`.

The data's reading, the network and the loop are those of the command line; there is no run's folder and no
test part, because scikit-learn holds out rows of its own. What differs is said in `NetworkEstimator`.
"""

from __future__ import annotations

import numbers
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import assert_all_finite, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, check_is_fitted, validate_data

from nudgenet.data.frames import is_frame
from nudgenet.data.read import read
from nudgenet.errors import DataWarning
from nudgenet.in_memory import Trained, train_in_memory
from nudgenet.records import Decision, Epoch, Raw, TaskKind
from nudgenet.settings import Settings, make_settings

if TYPE_CHECKING:
    from torch import nn


# A dataclass, so that every keyword with its default is written once. `eq=False` keeps estimators comparable
# by identity, and `repr=False` keeps scikit-learn's own representation.
@dataclass(eq=False, repr=False, kw_only=True)
class NetworkEstimator(BaseEstimator):  # type: ignore[misc]
    """What both estimators share: the keywords, the reading of rows, the training, the answers.

    The keywords are the fields of `Settings` of the same name; None means "chosen from the data".

    Rows may be an array of numbers (NaN is a missing cell; every column is a number, none is ever left out), or
    a dataframe of pandas, polars or Arrow, or an array with text. Of the latter two each column is looked at, as
    on the command line: categories, dates and missing cells are understood, and constants, identifiers and free
    text are left out; `decisions_` tells what was done.

    A share of the rows (`validation_share`) is held out to stop early; with fewer than 50 different rows, or a
    target that hardly varies, the training rows validate too. Rows are sorted before anything else, so the same rows give the same
    network in whatever order they come.

    `sample_weight`: a row of weight 0 is left out, and whole weights are copies of their row, exactly (with up to
    100,000 rows in all). Other weights weigh the loss of their row in training and validation, but not the
    means and standard deviations that inputs are standardised with; so weights of 0.5 and 1 come near to
    weights of 1 and 2, but do not give the same bits.

    Attributes after `fit`: `n_features_in_`; `feature_names_in_` (if the columns had names); `network_`, a plain
    `torch.nn.Module` from prepared inputs to outputs; `epochs_`, the curves as a list of `Epoch`; `n_iter_`, their
    number; `loss_curve_` and `validation_curve_`; `decisions_`.
    """

    effort: str = "default"
    network: str = "ensemble"
    members: int | None = None
    copies: int | None = None
    layers: int | None = None
    width: int | None = None
    activation: str = "relu"
    dropout: float | None = None
    normalisation: str = "none"
    residual: bool = False
    objective: str | None = None
    metric: str | None = None
    optimizer: str = "adamw"
    learning_rate: float | None = None
    momentum: float = 0.9
    weight_decay: float | None = None
    schedule: str = "cosine"
    warmup: float = 0.05
    clip: float | None = 1.0
    epochs: int | None = None
    batch_size: int | None = None
    patience: int | None = None
    ema: float | None = None
    time_limit: float | None = None
    precision: str | None = None
    threads: int | None = None
    validation_share: float = 0.15
    random_state: int | np.random.RandomState | None = 0  # as everywhere in nudgenet: the same seed, the same network

    @property
    def network_(self) -> nn.Module:
        """The trained network, on the CPU and in evaluation mode."""
        return self._fitted().network

    @property
    def epochs_(self) -> list[Epoch]:
        """What was known after each epoch."""
        return list(self._fitted().epochs)

    @property
    def n_iter_(self) -> int:
        """How many epochs were trained."""
        return len(self._fitted().epochs)

    @property
    def loss_curve_(self) -> list[float]:
        """The training loss after each epoch, without dropout."""
        return [epoch.train_loss for epoch in self._fitted().epochs]

    @property
    def validation_curve_(self) -> list[float]:
        """The validation loss after each epoch."""
        return [epoch.validation_loss for epoch in self._fitted().epochs]

    @property
    def decisions_(self) -> list[Decision]:
        """Every automatic choice and why it was made."""
        return list(self._fitted().decisions)

    def __sklearn_is_fitted__(self) -> bool:
        return "_trained" in vars(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """For whoever pickles or copies an estimator: the trained network goes as bytes."""
        state = dict(super().__getstate__())
        if "_trained" in state:
            state["_trained"] = state["_trained"].pack()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "_trained" in state:
            state["_trained"] = Trained.unpack(state["_trained"])
        super().__setstate__(state)

    def _fitted(self) -> Trained:
        if "_trained" not in vars(self):  # an AttributeError, because it is attributes that are asked for
            raise AttributeError(f"This {type(self).__name__} is not fitted yet: call `fit` first")
        trained: Trained = self._trained
        return trained

    def _settings(self) -> Settings:
        """The keywords, checked. Raises SettingError (a ValueError)."""
        values = self.get_params(deep=False)
        random_state = values.pop("random_state")
        if isinstance(random_state, numbers.Integral):
            seed = int(random_state)
        else:
            seed = int(check_random_state(random_state).randint(2**31 - 1))
        return make_settings(seed=seed, **values)

    def _check_rows(self, features: Any, targets: Any, *, are_numbers: bool) -> tuple[Any, np.ndarray]:
        """X and y, checked as scikit-learn does it; an array of numbers becomes float64."""
        if holds_numbers(features):
            checked, targets = validate_data(
                self,
                features,
                targets,
                dtype=np.float64,
                ensure_all_finite="allow-nan",
                ensure_min_samples=2,
                y_numeric=are_numbers,
            )
            return checked, targets
        validate_data(self, features, targets, skip_check_array=True)
        targets = column_or_1d(targets, warn=True)
        if are_numbers:
            targets = targets.astype(np.float64)
        assert_all_finite(targets, input_name="y")
        check_consistent_length(features, targets)
        return features, targets

    def _train(
        self, features: Any, targets: np.ndarray, sample_weight: Any, kind: TaskKind, num_classes: int = 0
    ) -> Self:
        """Train on checked rows and remember the result."""
        weights = None if sample_weight is None else check_weights(sample_weight, targets)
        if weights is not None and num_classes and len(np.unique(targets[weights > 0])) < 2:
            raise ValueError("Only one class has a sample_weight above zero: there is nothing to tell apart")
        trained, found = train_in_memory(
            read_rows(features),
            targets,
            kind,
            self._settings(),
            num_classes=num_classes,
            weights=weights,
            all_numbers=isinstance(features, np.ndarray) and features.dtype == np.float64,  # see `_check_rows`
        )
        self._trained = trained
        if found:
            warnings.warn("; ".join(found), DataWarning, stacklevel=3)
        if trained.failure:
            useful = any(np.isfinite(epoch.validation_loss) for epoch in trained.epochs)
            kept = (
                "the weights of the best epoch are kept" if useful else "no epoch was finished, so nothing was learned"
            )
            warnings.warn(f"Training stopped: {trained.failure}; {kept}", ConvergenceWarning, stacklevel=3)
        return self

    def _answer(self, features: Any) -> np.ndarray:
        """Probabilities (rows, classes) or numbers (rows,)."""
        check_is_fitted(self)
        trained = self._fitted()
        if trained.all_numbers:
            features = validate_data(self, features, reset=False, dtype=np.float64, ensure_all_finite="allow-nan")
        else:
            validate_data(self, features, reset=False, skip_check_array=True)
        answers, found = trained.answer(read_rows(features))
        if found:
            warnings.warn("; ".join(found), DataWarning, stacklevel=3)
        return answers


@dataclass(eq=False, repr=False, kw_only=True)
class NetworkClassifier(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]
    """A neural network that tells classes apart, for scikit-learn.

    Args:
        label_smoothing, class_weights, calibrate, threshold: as in `Settings`.
        others: see `NetworkEstimator`.

    With two classes of which fewer than a tenth of the rows are the second one, F1 counts unless `metric` says
    otherwise; where F1 counts, `predict` answers from a threshold that was chosen on the validation rows, if that
    is better beyond noise. `classes_` holds the sorted labels after `fit`.
    """

    label_smoothing: float = 0.0
    class_weights: str = "none"
    calibrate: bool = True
    threshold: float | None = None

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows and their labels.

        Args:
            X: (rows, features), an array or a dataframe.
            y: (rows,), labels: texts, whole numbers or booleans.
            sample_weight: (rows,), not negative; None weighs all alike. See the class.

        Raises:
            ValueError: rows, labels, weights or a setting that cannot be used.
        """
        X, y = self._check_rows(X, y, are_numbers=False)
        check_classification_targets(y)
        classes, targets = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"A classifier needs at least two classes, and y holds one class: {classes[0]!r}")
        kind: TaskKind = "binary" if len(classes) == 2 else "multiclass"
        self._train(X, targets.astype(np.int64), sample_weight, kind, len(classes))
        self.classes_ = classes
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The label that is answered for each row, (rows,): the most probable one, but for a threshold."""
        answers = self._answer(X)
        labels: np.ndarray = self.classes_[self._fitted().rule.decide(answers)]
        return labels

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, float64 (rows, classes); the columns follow `classes_`."""
        return self._answer(X)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The natural logarithm of `predict_proba`; -inf where a probability is zero."""
        with np.errstate(divide="ignore"):
            logs: np.ndarray = np.log(self._answer(X))
        return logs


@dataclass(eq=False, repr=False, kw_only=True)
class NetworkRegressor(RegressorMixin, NetworkEstimator):  # type: ignore[misc]
    """A neural network that predicts a number, for scikit-learn. For the keywords see `NetworkEstimator`."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows and their numbers.

        Args:
            X: (rows, features), an array or a dataframe.
            y: (rows,), finite numbers.
            sample_weight: (rows,), not negative; None weighs all alike. See the class.

        Raises:
            ValueError: rows, numbers, weights or a setting that cannot be used.
        """
        X, y = self._check_rows(X, y, are_numbers=True)
        return self._train(X, y.astype(np.float64), sample_weight, "regression")

    def predict(self, X: Any) -> np.ndarray:
        """The predicted number of each row, float64 (rows,), in the unit of y."""
        return self._answer(X)


def holds_numbers(features: Any) -> bool:
    """Whether rows are an array of nothing but numbers (scikit-learn then checks and converts them)."""
    if is_frame(features):
        return False
    if hasattr(features, "toarray"):  # a sparse matrix: scikit-learn refuses it with the right words
        return True
    cells = np.asarray(features)
    if cells.dtype.kind not in "OUS":
        return True
    try:
        cells.astype(np.float64)
    except (TypeError, ValueError):
        return cells.ndim != 2  # no table of text, either: let scikit-learn say so
    return cells.dtype.kind == "O"


def read_rows(features: Any) -> Raw:
    """Checked rows as a table."""
    return read(features, Settings())


def check_weights(sample_weight: Any, targets: np.ndarray) -> np.ndarray:
    """Weights as float64 (rows,). Raises ValueError: not one per row, negative, or all zero."""
    weights: np.ndarray = _check_sample_weight(sample_weight, targets, dtype=np.float64, ensure_non_negative=True)
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number")
    return weights
