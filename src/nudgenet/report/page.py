"""A run as one HTML file: it opens offline, needs no script, and asks nothing of any network."""

from __future__ import annotations

from datetime import datetime
from importlib.resources import files

from nudgenet.report import evidence, pictures, sections, texts
from nudgenet.report.contents import Contents
from nudgenet.report.markup import Html, escape, join, prose
from nudgenet.report.wording import TASKS, number

# Should anything slip past the escaping, the browser still refuses to run or load it.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
)

ORDER = (
    sections.verdict,
    evidence.scores,
    sections.curves,
    evidence.mistakes,
    evidence.worst,
    pictures.pictures,
    texts.texts,
    evidence.importance,
    sections.columns,
    sections.warnings,
    sections.decisions,
    sections.reproduce,
    sections.glossary,
)

NAVIGATION = {
    "score": "Score",
    "curves": "How it learned",
    "mistakes": "Mistakes",
    "worst": "Worst predictions",
    "pictures": "In pictures",
    "texts": "In words",
    "importance": "Columns that mattered",
    "warnings": "Worth a look",
    "decisions": "Choices",
    "reproduce": "Do it again",
    "glossary": "Words",
}


def render(contents: Contents) -> str:
    """The whole page: the same contents give the same text. Every name and value is escaped."""
    body = join(part(contents) for part in ORDER)
    style = files("nudgenet.report").joinpath("style.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="generator" content="nudgenet {escape(contents.version)}">
<title>{escape(contents.run_name)} · nudgenet</title>
<style>
{style}</style>
</head>
<body>
{_header(contents, body)}
<main>
{body}
</main>
<footer>Made by nudgenet {escape(contents.version)}. This page is one file: it can be kept, sent and opened offline.</footer>
</body>
</html>
"""


def _header(contents: Contents, body: Html) -> Html:
    summary = contents.summary
    target = summary.get("target")
    title = f"Predicting `{target}`" if target is not None else contents.run_name
    rows = summary.get("rows") or {}
    parts = [f"{number(rows[part])} {part}" for part in ("train", "validation", "test") if part in rows]
    facts = [
        f"It predicts {TASKS[summary['task']]}" if summary.get("task") in TASKS else "",
        f"rows: {', '.join(parts)}" if parts else "",
        contents.network_text,
    ]
    links = "".join(
        f'<li><a href="#{name}">{escape(words)}</a></li>'
        for name, words in NAVIGATION.items()
        if f'<section id="{name}"' in body
    )
    return Html(
        f"<header>\n<h1>{prose(title)}</h1>\n"
        f'<p class="about">{prose(". ".join(_capital(fact) for fact in facts if fact))}.</p>\n'
        f'<p class="about">Run {escape(contents.run_name)}, {escape(_when(contents.created))}.</p>\n'
        f'<nav aria-label="On this page"><ul>{links}</ul></nav>\n</header>'
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _when(created: str) -> str:
    """ISO 8601 as a date that is read easily; as it stands if it is none."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{moment.day} {moment:%B %Y, %H:%M}"
