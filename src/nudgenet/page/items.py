"""A row's picture, sound or text, for a browser to show or play."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
from starlette.responses import PlainTextResponse, Response

from nudgenet.data.audio import decode_sound
from nudgenet.data.media import Undecodable, media_columns, media_paths
from nudgenet.errors import SourceError
from nudgenet.page.context import BadRequest
from nudgenet.page.opened import OpenedRun
from nudgenet.page.rows import cells_of, cells_table, place_of
from nudgenet.report.spectrograms import as_png

HEARD_RATE = 16_000
HEARD_SECONDS = 30


def item(opened: OpenedRun, part: str, index: int) -> Response:
    """The picture (PNG), sound (WAV) or text of a row.

    Raises:
        BadRequest: the row has none. SourceError: the sound's file is gone.
    """
    preparation = opened.run.preparation
    _, _, rows = place_of(opened, {"part": part, "index": index})
    media = preparation.media
    if media is None:
        if not preparation.texts:
            raise BadRequest("Rows of this run are plain tables")
        cells = cells_of(opened, part, [index])[0]
        return PlainTextResponse("\n\n".join(cells.get(column, "") for column in preparation.texts))
    if media.kind == "image":
        return Response(picture(rows.inputs["images"][index].numpy()), media_type="image/png")
    row = int(rows.rows[index])
    return Response(sound(opened, row), media_type="audio/wav")


def picture(pixels: np.ndarray) -> bytes:
    """uint8 (channels, height, width), as the network sees it, as a PNG."""
    colours = np.repeat(pixels, 3, axis=0) if len(pixels) == 1 else pixels[:3]
    return as_png(np.ascontiguousarray(colours.transpose(1, 2, 0)))


def sound(opened: OpenedRun, row: int) -> bytes:
    """The beginning of a sound's file as a WAV. Raises SourceError if it is gone."""
    table = cells_table(opened).slice(row, 1)
    paths = media_paths(table)
    if paths is None:
        raise BadRequest(f"The sounds of {', '.join(media_columns(table))} have no files")
    location = Path(opened.origin()[0].raw.source.location or ".")
    folder = location if location.is_dir() else location.parent
    path = folder / str(paths[0].as_py())
    try:
        clip = decode_sound(path.read_bytes(), HEARD_RATE)
    except (OSError, Undecodable) as error:
        raise SourceError("This sound cannot be read any more", got=f"{path}: {error}") from None
    samples = clip.samples[: HEARD_SECONDS * clip.rate]
    whole = samples if samples.dtype == np.int16 else (np.clip(samples, -1, 1) * 32_767).astype(np.int16)
    with io.BytesIO() as content:
        with wave.open(content, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(clip.rate)
            file.writeframes(whole.astype("<i2").tobytes())
        return content.getvalue()
