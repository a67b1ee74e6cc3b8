"""Which medium a file holds, told from its content, and who decodes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import pyarrow as pa

from nudgenet.data.audio import is_sound, need_sounds
from nudgenet.data.decoding import is_image, need_pillow
from nudgenet.data.documents import is_document, read_documents
from nudgenet.data.images import read_images
from nudgenet.data.media import what_it_is
from nudgenet.data.sounds import read_sounds
from nudgenet.errors import MissingExtra
from nudgenet.records import Medium
from nudgenet.settings import Settings

ReadFiles = Callable[[Sequence[str | None], Callable[[int], bytes], Settings], pa.ChunkedArray]
READ_FILES: dict[Medium, ReadFiles] = {"image": read_images, "sound": read_sounds, "text": read_documents}
NOTES = 3  # text files that may belong to one image or sound
_TESTS: dict[Medium, tuple[Callable[[], None], Callable[[bytes], bool]]] = {
    "image": (need_pillow, is_image),
    "sound": (need_sounds, is_sound),
}


def medium_in(data: bytes) -> Medium | None:
    """What the bytes of a file can be opened as; None for neither an image nor a sound.

    Raises:
        MissingExtra: it begins like one of the two, and the library that opens those is not installed.
    """
    begins_like = what_it_is(data)
    for medium, (need, can_open) in _TESTS.items():
        try:
            need()
        except MissingExtra:
            if begins_like in (f"an {medium}", f"a {medium}"):
                raise
            continue
        if can_open(data):
            return medium
    return "text" if is_document(data) else None


def most_common_medium(files: Iterable[bytes]) -> Medium | None:
    """What most of some files are, broken ones and others left aside; None if there is nothing else.

    Notes may lie beside images and sounds, even several to each: texts must be far more.
    """
    found = Counter(medium for data in files if (medium := medium_in(data)) is not None)
    weights = {medium: count / (NOTES if medium == "text" else 1) for medium, count in found.items()}
    return max(weights, key=weights.__getitem__, default=None)
