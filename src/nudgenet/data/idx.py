"""IDX files, in which MNIST and its kin are published: magic number, sizes, bytes (LeCun & Cortes, MNIST, 1998)."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from nudgenet.data.frames import GIVEN_TARGET
from nudgenet.data.images import array_images
from nudgenet.data.typed import Reading
from nudgenet.errors import SourceError
from nudgenet.records import Decision

BYTES = 8  # the type code of unsigned bytes, the only one that images and labels come in


def find_idx(folder: Path) -> list[tuple[Path, Path, bool]]:
    """(images, labels, whether they are the test rows) of each pair of IDX files in a folder; training pairs first."""
    pairs = []
    for images in sorted(folder.iterdir()):
        name = images.name
        if "images" not in name or "idx" not in name or not images.is_file():
            continue
        stem = name.partition("images")[0]
        labels = [
            path for path in sorted(folder.iterdir()) if path.name.startswith(f"{stem}labels") and "idx" in path.name
        ]
        if labels:
            pairs.append((images, labels[0], stem.lower().startswith(("t10k", "test"))))
    return sorted(pairs, key=lambda pair: pair[2])


def read_idx(folder: Path) -> Reading:
    """The pairs of IDX files in a folder: images and labels; `t10k` or `test` in a name makes it the test part.

    Raises:
        SourceError: a file is damaged, or images and labels are not as many.
    """
    columns: list[pa.ChunkedArray] = []
    labels: list[np.ndarray] = []
    num_test = 0
    pairs = find_idx(folder)
    for image_file, label_file, is_test in pairs:
        pixels, answers = load_idx(image_file), load_idx(label_file)
        if len(pixels) != len(answers) or pixels.ndim not in (3, 4) or answers.ndim != 1:
            raise SourceError(
                f"`{image_file.name}` and `{label_file.name}` do not belong together",
                got=f"shapes {pixels.shape} and {answers.shape}",
            )
        columns.append(array_images(pixels))
        labels.append(answers)
        num_test += len(answers) if is_test else 0
    images = pa.chunked_array([chunk for column in columns for chunk in column.chunks])
    table = pa.table({"image": images, "label": pa.array(np.concatenate(labels).astype(np.int64))})
    if num_test == table.num_rows:
        num_test = 0
    decision = Decision(GIVEN_TARGET, "`label`", f"it is what `{pairs[0][1].name}` holds", "")
    return Reading(table, (decision,), given_test=num_test)


def load_idx(path: Path) -> np.ndarray:
    """A uint8 array from an IDX file, also a gzipped one. Raises SourceError if it is damaged or of another type."""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
        zero, kind, num_sizes = struct.unpack(">HBB", data[:4])
        sizes = struct.unpack(f">{num_sizes}I", data[4 : 4 + 4 * num_sizes])
        if zero != 0 or kind != BYTES:
            raise ValueError("it does not hold bytes")
        array = np.frombuffer(data, np.uint8, offset=4 + 4 * num_sizes).reshape(sizes)
    except (OSError, EOFError, zlib.error, ValueError, struct.error) as error:
        raise SourceError(f"`{path.name}` is a damaged IDX file", got=str(error)[:120]) from None
    return array
