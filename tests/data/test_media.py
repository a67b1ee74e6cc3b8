"""What columns of files share: a column that holds something else than in training is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nudgenet.data.images import IMAGE, ImageFeature
from nudgenet.data.media import medium_of
from nudgenet.data.sounds import SOUND, SoundFeature
from nudgenet.data.waves import WaveFeature
from nudgenet.errors import ColumnError

FEATURES = {
    "image": ImageFeature("file", 8, 8, 3, (0.5,) * 3, (0.2,) * 3),
    "sound": SoundFeature("file", 8_000, 80, 32, 16, 1, -60.0, 0.0),
    "wave": WaveFeature("file", 8_000, 100, "{}", "{}"),
}


@pytest.mark.parametrize("name", FEATURES)
def test_what_a_column_held_it_must_hold(name: str) -> None:
    feature: Any = FEATURES[name]
    kinds = {"image": IMAGE, "sound": SOUND, None: pa.string()}
    assert {medium: medium_of(kind) for medium, kind in kinds.items()} == {medium: medium for medium in kinds}
    for medium, kind in kinds.items():
        cells = pa.chunked_array([pa.nulls(2, kind)])
        if medium == feature.kind:
            assert len(feature.encode(cells, np.arange(2))) == 2
            continue
        with pytest.raises(ColumnError, match=f"`file` held {feature.kind}s in training, and here it does not"):
            feature.encode(cells, np.arange(2))
