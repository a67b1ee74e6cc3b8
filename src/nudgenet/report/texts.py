"""The part of a report that shows texts: the worst mistakes, with the words that led there."""

from __future__ import annotations

from nudgenet.report.contents import Contents, MarkedText
from nudgenet.report.markup import Html, escape, join, paragraph, section

FAINTEST = 0.05  # of the strongest word's effect: below it a word is not marked
WORDS = (
    "Test texts that the network got most wrong. Blue words spoke for the answer that it gave, orange ones with dots below "
    "them against it: the share of each in how the answer came about, from no word to all of them (integrated gradients)."
)


def texts(contents: Contents) -> Html:
    """Every marked text; nothing for a run without texts."""
    marked = join(_text(text) for text in contents.texts)
    return section("texts", "In words", join([paragraph(WORDS), marked]) if marked else Html(""))


def _text(text: MarkedText) -> Html:
    words = "".join(_word(unit, effect) for unit, effect in text.words)
    caption = f"<figcaption>{escape(text.said)} <small>{escape(text.name)}</small></figcaption>"
    return Html(f'<figure class="text"><p>{words}</p>{caption}</figure>')


def _word(unit: str, effect: float) -> str:
    if abs(effect) < FAINTEST:
        return escape(unit)
    kind, percent = ("for" if effect > 0 else "against"), round(100 * abs(effect))
    title = f"{'+' if effect > 0 else '−'}{percent}%"
    return f'<mark class="{kind}" style="--strength:{percent}%" title="{title}">{escape(unit)}</mark>'
