"""The demo's data: a real table that comes with scikit-learn, written as the files a user would have."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
from sklearn.datasets import load_breast_cancer

from nudgenet.runs.checkpoint import cannot_write

NUM_NEW_ROWS = 10


def write_demo_data(known: Path, new: Path) -> None:
    """Two CSV files: `known`, 559 tumours with their diagnosis, and `new`, ten without it to predict.

    Source: Breast Cancer Wisconsin (Diagnostic), UCI, as shipped with scikit-learn.
    """
    data = load_breast_cancer()
    columns = {name.replace(" ", "_"): data.data[:, index] for index, name in enumerate(data.feature_names)}
    table = pa.table(columns | {"diagnosis": [str(data.target_names[target]) for target in data.target]})
    try:
        known.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.csv.write_csv(table.slice(NUM_NEW_ROWS), known)
        pyarrow.csv.write_csv(table.slice(0, NUM_NEW_ROWS).drop_columns("diagnosis"), new)
    except OSError as error:
        raise cannot_write(known.parent, error) from None
