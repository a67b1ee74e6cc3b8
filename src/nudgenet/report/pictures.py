"""The parts of a report that show images and sounds: mistakes, samples, filters."""

from __future__ import annotations

from nudgenet.report.contents import Contents, Exhibit, Gallery
from nudgenet.report.markup import Html, escape, join, paragraph, section

MANY = 6  # images side by side: with more they are drawn smaller, to stand in one line


def pictures(contents: Contents) -> Html:
    """Every gallery under its own heading; nothing for a run without images or sounds."""
    return section("pictures", "In pictures", join(_gallery(gallery) for gallery in contents.galleries))


def _gallery(gallery: Gallery) -> Html:
    shown = join(_exhibit(exhibit) for exhibit in gallery.exhibits)
    return Html(f'<h3>{escape(gallery.title)}</h3>\n{paragraph(gallery.words)}\n<div class="gallery">\n{shown}\n</div>')


def _exhibit(exhibit: Exhibit) -> Html:
    said = " ".join(text for text in (exhibit.words, exhibit.name) if text)
    images = "".join(f'<img src="{escape(uri)}" alt="{escape(said)}">' for uri in exhibit.images)
    name = f"<small>{escape(exhibit.name)}</small>" if exhibit.name else ""
    caption = f"<figcaption>{escape(exhibit.words)} {name}</figcaption>" if said else ""
    player = f'<audio controls preload="metadata" src="{escape(exhibit.sound)}"></audio>' if exhibit.sound else ""
    kind = ' class="many"' if len(exhibit.images) > MANY else ""
    return Html(f"<figure{kind}>{images}{player}{caption}</figure>")
