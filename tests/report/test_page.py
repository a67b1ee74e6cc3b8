from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nudgenet.records import Column
from nudgenet.report.card import repr_html
from nudgenet.report.contents import Contents
from nudgenet.report.page import render

Example = Callable[[str], Contents]
VOID = {"meta", "br", "img", "hr", "input", "link"}


class Page(HTMLParser):
    """A page taken apart: its tags in order, its text, and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def section_of(html: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', html, re.DOTALL)
    return found.group() if found else ""


def test_every_page_is_whole_and_asks_nothing_of_a_network(any_contents: Contents) -> None:
    html = render(any_contents)
    page = Page(html)
    assert page.open == []
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "form"})
    assert not re.search(r"https?://|url\(|@import|srcset|\bsrc=", html)
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")


def test_every_page_can_be_read_without_eyes(any_contents: Contents) -> None:
    html = render(any_contents)
    page = Page(html)
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("header")) == 1
    assert page.all("html")[0]["lang"] == "en-GB"
    for table in re.findall(r"<table.*?</table>", html, re.DOTALL):
        assert re.search(r"<caption>.+</caption>", table)
        assert "<th" in table
        assert all("scope=" in head for head in re.findall(r"<th\b[^>]*>", table))
    for chart in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        root = ET.fromstring(chart)
        if root.get("aria-hidden") != "true":
            assert root.get("role") == "img"
            assert root.findtext("title") and root.findtext("desc")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert (link["href"] or "").removeprefix("#") in ids


def test_nothing_absent_leaks_into_a_page(any_contents: Contents) -> None:
    text = Page(render(any_contents)).text
    assert not re.search(r"\bnan\b|\bNone\b|\bNaN\b|\binf\b", text)


def test_the_same_contents_give_the_same_page(example: Example) -> None:
    assert render(example("binary")) == render(example("binary"))


def test_the_sections_stand_in_their_order(example: Example) -> None:
    names = re.findall(r'<section id="(\w+)"', render(example("binary")))
    assert names == [
        *("verdict", "score", "curves", "mistakes", "worst", "importance"),
        *("columns", "warnings", "decisions", "reproduce", "glossary"),
    ]


def test_a_bare_page_says_that_there_is_no_verdict(example: Example) -> None:
    html = render(example("bare"))
    assert "No verdict yet" in html
    assert re.findall(r'<section id="(\w+)"', html) == ["verdict", "glossary"]


HOSTILE = "<img src=x onerror=alert(1)>\"'&`\x00\u202e\ud800</style></script>"


def test_hostile_names_do_nothing(example: Example) -> None:
    contents = example("binary")
    count = contents.test_predictions.num_rows
    labels = [HOSTILE, HOSTILE + "2"] * count
    predictions = pa.table(
        {
            "row": list(range(count)),
            "actual": [label.replace("\ud800", "") for label in labels[:count]],
            "prediction": [label.replace("\ud800", "") for label in labels[1 : count + 1]],
            "loss": [1.0] * count,
        }
    )
    summary: dict[str, Any] = {
        **contents.summary,
        "target": HOSTILE,
        "task": "binary",
        "verdict": {
            "state": HOSTILE,
            "best_epoch": 2,
            "reason": HOSTILE,
            "advice": [{"text": HOSTILE, "setting": HOSTILE, "value": HOSTILE}],
        },
        "metrics": {"test": {HOSTILE: 0.5}},
        "baselines": {HOSTILE: {"test": {HOSTILE: 0.4}}},
        "decisions": [dict.fromkeys(("what", "chosen", "why", "override"), HOSTILE)],
        "seconds": {"total": 1.0, HOSTILE: 2.0},
    }
    contents = replace(
        contents,
        run_name=HOSTILE,
        created=HOSTILE,
        version=HOSTILE,
        summary=summary,
        intervals={HOSTILE: (0.1, 0.9)},
        comparisons=[{"metric": HOSTILE, "other": HOSTILE, "difference": 0.1, "low": 0, "high": 1, "verdict": HOSTILE}],
        test_predictions=predictions,
        test_inputs=pa.table({HOSTILE.replace("\ud800", ""): [HOSTILE.replace("\ud800", "")] * count}),
        importance=[(HOSTILE, 0.3, 0.2, 0.4)],
        importance_metric=HOSTILE,
        columns=[Column(HOSTILE, "number", HOSTILE)],
        warnings=[HOSTILE],
        network_text=HOSTILE,
        commands={HOSTILE: HOSTILE, "predict": HOSTILE},
    )
    html = render(contents)
    html.encode("utf-8")  # no half of a surrogate pair is left
    page = Page(html)
    assert page.all("img") == page.all("script") == []
    assert len(page.all("style")) == 1
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "<img src=x onerror=alert(1)>" in page.text  # shown as it is
    assert not re.search("[\x00\u202e]", html)
    card = Page(repr_html(summary, contents.epochs))
    assert card.all("img") == [] and card.open == []


def test_the_verdict_says_what_to_type(example: Example) -> None:
    verdict = section_of(render(example("binary")), "verdict")
    assert 'class="verdict warn"' in verdict
    assert '<span aria-hidden="true">▲</span> Overfitting' in verdict
    assert "<code>--set dropout=0.3</code>" in verdict
    assert "<code>churned</code>" in verdict


def test_the_score_is_said_in_words(example: Example) -> None:
    text = Page(section_of(render(example("binary")), "score")).text
    assert "81.2%" in text
    assert "the network gets 81 of 100 right; always answering the most common class gets 62 of 100 right" in text
    assert "between 75.1% and 86.7%" in text
    assert "≈ too close to call" in text and "▲ better" in text


def test_a_regression_is_told_in_its_own_unit(example: Example) -> None:
    text = Page(section_of(render(example("houses")), "score")).text
    assert "is typically off by 61,311; always answering the mean is typically off by 115,000" in text
    assert "▼ worse" in text


def test_without_test_scores_the_validation_scores_are_called_flattering(example: Example) -> None:
    contents = example("binary")
    summary = {**contents.summary, "metrics": {"validation": {"accuracy": 0.9}}, "baselines": {}}
    text = Page(section_of(render(replace(contents, summary=summary)), "score")).text
    assert "accuracy on the validation part" in text
    assert "flatters" in text
    assert "better" not in text  # the comparisons are of the test part


def test_the_curves_mark_the_best_epoch_and_the_overfit_region(example: Example) -> None:
    curves = section_of(render(example("binary")), "curves")
    assert "best epoch (19)" in curves
    assert "overfitting, from epoch 24" in curves
    assert re.search(r'<rect class="overfit" x="\d', curves)
    assert "loss (log scale)" not in curves


def test_losses_over_more_than_two_decades_are_drawn_on_a_log_scale(example: Example) -> None:
    assert "loss (log scale)" in section_of(render(example("digits")), "curves")


def test_curves_say_that_temperature_and_threshold_came_later(example: Example) -> None:
    contents = example("binary")
    chosen = {"calibration": {"temperature": 1.25, "ece": {}}, "threshold": {"class": "yes", "above": 0.31}}

    def said(**changed: Any) -> str:
        summary = {**contents.summary, **chosen, **changed}
        return Page(section_of(render(replace(contents, summary=summary)), "curves")).text

    assert "before the temperature of 1.25 and with a threshold of 0.5, not 0.31: what was chosen" in said()
    assert "after each epoch, with a threshold of 0.5" in said(calibration={"temperature": 1.0, "ece": {}})
    plain = said(calibration={"temperature": 1.0, "ece": {}}, threshold={"class": "yes", "above": 0.5})
    assert "what was chosen at the end" not in plain
    assert "what was chosen at the end" not in said(calibration=None, threshold=None)  # a regression


def test_one_epoch_is_drawn(example: Example) -> None:
    contents = example("digits")
    curves = section_of(render(replace(contents, epochs=contents.epochs[:1])), "curves")
    assert "One epoch only" in curves
    assert 'class="train alone"' in curves


def test_losses_that_are_no_numbers_are_said_to_be(example: Example) -> None:
    text = Page(section_of(render(example("diverged")), "curves")).text
    assert "from 1 to not a number" in text
    assert "Where a line breaks off" in text


def test_the_matrix_counts_what_was_taken_for_what(example: Example) -> None:
    predictions = pa.table(
        {
            "row": range(1, 8),
            "actual": ["a", "a", "a", "b", "b", "c", "c"],
            "prediction": ["a", "a", "b", "b", "a", "a", "a"],
            "loss": [0.0] * 7,
        }
    )
    mistakes = section_of(render(replace(example("digits"), test_predictions=predictions)), "mistakes")
    rows = re.findall(r'<th scope="row">(\w)</th>(.*?)</tr>', mistakes)
    cells = {row: re.findall(r"<td[^>]*>(\d+)</td>", found) for row, found in rows}
    assert cells == {"a": ["2", "1", "0"], "b": ["1", "1", "0"], "c": ["2", "0", "0"]}
    text = Page(mistakes).text
    assert "3 of 7 test rows are right." in text
    assert "Most often it took c for a : 2 times out of 2." in text


def test_classes_that_are_numbers_stand_in_the_order_of_numbers(example: Example) -> None:
    labels = [10, 2, 1, 10]
    predictions = pa.table({"row": range(4), "actual": labels, "prediction": labels, "loss": [0.0] * 4})
    mistakes = section_of(render(replace(example("digits"), test_predictions=predictions)), "mistakes")
    assert re.findall(r'<th scope="row">(\d+)</th>', mistakes) == ["1", "2", "10"]


def test_of_many_classes_the_biggest_confusions_are_listed(example: Example) -> None:
    actual = [f"class {i % 40}" for i in range(400)]
    predicted = ["class 0" if i < 120 else label for i, label in enumerate(actual)]
    predictions = pa.table({"row": range(400), "actual": actual, "prediction": predicted, "loss": [0.1] * 400})
    mistakes = section_of(render(replace(example("digits"), test_predictions=predictions)), "mistakes")
    assert "The biggest confusions among 40 classes" in mistakes
    assert mistakes.count("<tr>") == 1 + 15


def test_the_worst_predictions_come_first(example: Example) -> None:
    contents = example("binary")
    predictions, inputs = contents.test_predictions, contents.test_inputs
    worst = section_of(render(contents), "worst")
    shown = [int(row) for row in re.findall(r'<th scope="row">(\d+)</th>', worst)]
    order = np.argsort(-predictions.column("loss").to_numpy())[:10]
    assert shown == predictions.column("row").to_numpy()[order].tolist()
    first = predictions.slice(int(order[0]), 1).to_pylist()[0]
    assert f"{100 * first['probability_' + first['prediction']]:.1f}%" in worst
    assert str(inputs.column("monthly_charge")[int(order[0])]) in worst
    assert "not_shown" not in worst  # a seventh column


def test_right_answers_among_the_worst_are_said_to_be_right(example: Example) -> None:
    contents = example("binary")
    predictions = contents.test_predictions.set_column(2, "prediction", contents.test_predictions.column("actual"))
    html = section_of(render(replace(contents, test_predictions=predictions)), "worst")
    assert "Only 0 of these 10 are wrong" in html
    assert "Only" not in section_of(render(contents), "worst")


def test_fewer_than_ten_rows_are_all_shown(example: Example) -> None:
    contents = example("houses")
    html = render(replace(contents, test_predictions=contents.test_predictions.slice(0, 3), test_inputs=None))
    assert section_of(html, "worst").count('<th scope="row">') == 3
    assert "The 3 worst of 3 test rows" in html


def test_no_test_rows_leave_their_sections_out(example: Example) -> None:
    contents = example("houses")
    html = render(replace(contents, test_predictions=contents.test_predictions.slice(0, 0)))
    assert section_of(html, "worst") == section_of(html, "mistakes") == ""


def test_the_scatter_is_thinned(example: Example) -> None:
    mistakes = section_of(render(example("houses")), "mistakes")
    assert mistakes.count("h0") == 1_500
    assert "1,500 rows are drawn" in mistakes


def test_importance_without_any_effect_is_said_plainly(example: Example) -> None:
    html = render(replace(example("binary"), importance=[("a", 0.0, 0.0, 0.0), ("b", 0.01, -0.02, 0.03)]))
    assert "No single column made a difference" in section_of(html, "importance")


def test_importance_is_told_in_words(example: Example) -> None:
    text = Page(section_of(render(example("binary")), "importance")).text
    assert "Shuffling the cells of contract makes accuracy worse by 11.0 points" in text
    assert "For 3 of 6 columns the difference could be chance" in text


def _colours() -> dict[str, dict[str, str]]:
    """The colours of the two themes of the style sheet, by name."""
    style = files("nudgenet.report").joinpath("style.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{([^}]*--paper[^}]*)\}", style)
    return {
        name: dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for name, block in (("light", light), ("dark", dark))
    }


def _contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours (WCAG 2.2)."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_and_lines_can_be_told_from_the_paper(theme: str) -> None:
    colours = _colours()[theme]
    for paper in ("paper", "panel"):
        for ink in ("ink", "soft", "link"):
            assert _contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)
    for tone in ("good", "warn", "bad", "unknown"):
        assert _contrast(colours[tone], colours[f"{tone}-paper"]) >= 4.5, tone
        assert _contrast(colours["ink"], colours[f"{tone}-paper"]) >= 4.5, tone
    for line in ("blue", "vermilion"):
        assert _contrast(colours[line], colours["paper"]) >= 3, line
    for shade in ("#0072b2", "#d55e00"):  # a full cell of the confusion matrix, behind its number
        mixed = "#" + "".join(
            f"{round(0.42 * int(shade[i : i + 2], 16) + 0.58 * int(colours['paper'][i : i + 2], 16)):02x}"
            for i in (1, 3, 5)
        )
        assert _contrast(colours["ink"], mixed) >= 4.5, shade


def test_the_card_shows_verdict_scores_and_curve(any_contents: Contents) -> None:
    html = repr_html(any_contents.summary, any_contents.epochs)
    page = Page(html)
    assert page.open == []
    assert not re.search(r"\bnan\b|\bNone\b", page.text)
    assert ("<table" in html) == bool((any_contents.summary.get("metrics") or {}).get("test"))
    assert ('role="img"' in html) == bool(any_contents.epochs)


def test_the_card_styles_nothing_but_itself(example: Example) -> None:
    contents = example("binary")
    (style,) = re.findall(r"<style>(.*?)</style>", repr_html(contents.summary, contents.epochs), re.DOTALL)
    selectors = [one.strip() for rule in re.findall(r"([^{}]+)\{", style) for one in rule.split(",")]
    assert selectors and all(one.startswith(".nudgenet-card") for one in selectors)
