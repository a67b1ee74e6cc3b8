"""The page's shell in a browser: the runs, one run, comparing, starting, words, themes, keyboard."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from nudgenet.bundle import STATIC
from nudgenet.report.glossary import GLOSSARY
from nudgenet.run import Run
from nudgenet.runs.store import Store

NASTY = '<img src=x onerror="window.hacked=1">'
ANSWERS_MS = 60_000  # a training starts in a process of its own


def run_of(folder: Path, name: str) -> Run:
    return Run(Store(folder / name))


def row_of(page: Page, name: str) -> Locator:
    return page.locator(f'table.runs tr[data-run="{name}"]')


def open_run(page: Page, name: str) -> None:
    page.goto(re.sub(r"[?#].*", "", page.url) + f"#/run/{name}")
    expect(page.locator("h1")).to_have_text(name)
    expect(page.locator(".chart .stage").first).to_have_attribute("aria-label", re.compile("Loss by epoch"))


# The list of runs.


def test_every_run_is_listed_with_its_scores(page: Page, runs_folder: Path) -> None:
    for name in ("flowers", "flowers-wide", "houses"):
        summary = run_of(runs_folder, name).summary
        metric = summary["metric"]
        row = row_of(page, name)
        for part in ("validation", "test"):
            value = summary["metrics"][part][metric]
            shown = row.locator(f'td[data-label="{part}"] .score').inner_text()
            if metric == "accuracy":
                assert shown == f"{100 * value:.1f}%"
            else:
                assert float(shown.replace(",", "")) == pytest.approx(value, rel=0.01)
        expect(row.locator(".badge")).not_to_have_text("")


def test_finding_and_sorting(page: Page) -> None:
    page.get_by_label("Find runs").fill("price")  # a target
    expect(row_of(page, "houses")).to_have_count(1)
    expect(row_of(page, "flowers")).to_have_count(0)
    page.get_by_label("Find runs").fill("nothing like it")
    expect(page.get_by_text("No run has")).to_be_visible()
    page.get_by_label("Find runs").fill("")
    page.get_by_role("button", name="Sort by epochs").click()
    expect(page.locator('th[aria-sort="descending"]')).to_contain_text("Epochs")
    falling = [
        int(text.split()[0].replace(",", "")) for text in page.locator('td[data-label="epochs"]').all_inner_texts()
    ]
    assert falling == sorted(falling, reverse=True)
    page.get_by_role("button", name="Sort by epochs").click()
    expect(page.locator('th[aria-sort="ascending"]')).to_contain_text("Epochs")
    rising = [
        int(text.split()[0].replace(",", "")) for text in page.locator('td[data-label="epochs"]').all_inner_texts()
    ]
    assert rising == sorted(falling)


def test_stars_and_notes_are_kept(page: Page) -> None:
    row_of(page, "houses").get_by_role("button", name="Star").click()
    row_of(page, "houses").get_by_role("button", name="Note").click()
    page.get_by_label("Note on houses").and_(page.locator("input")).fill(f"worth a look {NASTY}")
    page.keyboard.press("Enter")
    expect(row_of(page, "houses").locator(".note")).to_have_text(f"worth a look {NASTY}")
    page.reload()
    expect(row_of(page, "houses").locator(".note")).to_have_text(f"worth a look {NASTY}")
    expect(row_of(page, "houses").get_by_role("button", name="Star")).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("window.hacked") is None


def test_a_deleted_run_comes_back(page: Page, runs_folder: Path) -> None:
    row_of(page, "houses").get_by_role("button", name="Delete").click()
    expect(row_of(page, "houses")).to_have_count(0)
    assert not (runs_folder / "houses").exists()
    page.get_by_role("button", name="Undo").click()
    expect(row_of(page, "houses")).to_have_count(1)
    assert (runs_folder / "houses" / "DONE").exists()


# One run.


def test_a_damaged_run_says_so(page: Page, runs_folder: Path) -> None:
    shutil.copytree(runs_folder / "houses", runs_folder / "damaged")
    try:
        (runs_folder / "damaged" / "settings.json").write_text("[]")
        page.reload()
        row = row_of(page, "damaged")
        expect(row.locator(".badge")).to_have_text("damaged")
        expect(row.locator(".problem")).to_contain_text("settings.json")
        expect(row_of(page, "houses").locator(".problem")).to_have_count(0)
    finally:
        shutil.rmtree(runs_folder / "damaged")


def test_the_curves_say_what_was_recorded(page: Page, runs_folder: Path) -> None:
    open_run(page, "flowers")
    page.get_by_text("The numbers", exact=True).first.click()
    rows = page.locator(".chart table").first.locator("tbody tr")
    epochs = run_of(runs_folder, "flowers").epochs
    expect(rows).to_have_count(len(epochs))
    for row, epoch in zip(rows.all(), epochs, strict=True):
        cells = [text.replace(",", "") for text in row.locator("th, td").all_inner_texts()]
        assert int(cells[0]) == epoch.epoch
        assert float(cells[1]) == pytest.approx(epoch.train_loss, rel=1e-3)
        assert float(cells[2]) == pytest.approx(epoch.validation_loss, rel=1e-3)


def test_the_best_epoch_and_the_overfit_region_are_said(page: Page, runs_folder: Path) -> None:
    open_run(page, "flowers-wide")
    verdict = run_of(runs_folder, "flowers-wide").verdict
    label = page.locator(".chart .stage").first.get_attribute("aria-label") or ""
    assert f"best, epoch {verdict.best_epoch}" in label
    since = re.search(r"overfitting since epoch (\d+)", label)
    assert since is not None
    words = page.locator(".overfit-words")
    expect(words).to_contain_text(f"Overfitting since epoch {since[1]}.")
    words.get_by_text("Why? The evidence").click()
    expect(words).to_contain_text("learns its training rows by heart")


def test_the_chart_zooms_and_reads_values_by_keyboard(page: Page) -> None:
    open_run(page, "flowers")
    stage = page.locator(".chart .stage").first
    stage.focus()
    page.keyboard.press("Home")
    expect(page.locator("#announcer")).to_contain_text("epoch 1 ")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#announcer")).to_contain_text("epoch 2 ")
    expect(page.locator(".readout")).to_contain_text("epoch 2 ")
    page.keyboard.press("+")
    show_all = page.get_by_role("button", name="Show all")
    expect(show_all).to_be_visible()
    page.keyboard.press("0")
    expect(show_all).to_be_hidden()


def test_the_chart_zooms_by_dragging(page: Page) -> None:
    open_run(page, "flowers")
    box = page.locator(".chart .stage").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 120, steps=4)
    page.mouse.up()
    expect(page.get_by_role("button", name="Show all")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_role("button", name="Show all")).to_be_hidden()


def test_a_click_on_the_curves_moves_the_time(page: Page) -> None:
    open_run(page, "flowers")
    box = page.locator(".chart .stage").first.bounding_box()
    assert box is not None
    before = page.locator(".chart canvas").nth(1).screenshot()
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 100)
    page.mouse.move(5, 5)
    page.wait_for_timeout(100)
    assert page.locator(".chart canvas").nth(1).screenshot() != before


def test_other_metrics_and_the_baselines_can_be_shown(page: Page, runs_folder: Path) -> None:
    open_run(page, "flowers")
    page.get_by_label("What is shown").select_option("accuracy")
    stage = page.locator(".chart .stage").first
    expect(stage).to_have_attribute("aria-label", re.compile("Accuracy by epoch"))
    linear = run_of(runs_folder, "flowers").baselines["linear"]["validation"]["accuracy"]
    expect(stage).to_have_attribute("aria-label", re.compile(re.escape(f"a linear model {100 * linear:.1f}%")))


def test_smoothing_keeps_the_raw_line(page: Page) -> None:
    """Each line is painted twice: faintly as it was measured, and smoothed over that."""
    open_run(page, "flowers-wide")
    page.evaluate(
        """() => {
          const {prototype} = CanvasRenderingContext2D;
          const {stroke} = prototype;
          window.strokes = [];
          prototype.stroke = function (...path) { window.strokes.push([this.globalAlpha, this.strokeStyle]); stroke.apply(this, path); };
        }"""
    )
    page.get_by_label("smoothing").fill("0.9")
    page.locator(".chart .stage").first.scroll_into_view_if_needed()  # out of sight, nothing is painted
    faint: set[str] = set()
    for _ in range(50):  # Playwright's own way to wait needs `eval`
        page.wait_for_timeout(50)
        strokes = page.evaluate("window.strokes")
        faint = {colour for alpha, colour in strokes if alpha < 1}
        if len(faint) == 2:
            break
    assert len(faint) == 2 and all([1, colour] in strokes for colour in faint)


def test_the_health_of_each_layer_is_shown(page: Page) -> None:
    open_run(page, "flowers")
    page.get_by_label("Practitioner").check()
    expect(page.locator(".health tbody th").filter(has_text="layer 1").first).to_be_visible()


def test_words_differ_between_levels_and_numbers_do_not(page: Page) -> None:
    open_run(page, "flowers")
    expect(page.get_by_role("heading", name="How it learned")).to_be_visible()
    numbers = page.locator(".result .big").inner_text()
    page.get_by_label("Practitioner").check()
    expect(page.get_by_role("heading", name="Curves")).to_be_visible()
    expect(page.locator(".result .big")).to_have_text(numbers)
    page.reload()
    expect(page.get_by_role("heading", name="Curves")).to_be_visible()


def test_what_was_decided_and_how_to_do_it_again(page: Page, runs_folder: Path) -> None:
    open_run(page, "flowers")
    page.get_by_text("What was chosen for you, and why").click()
    for decision in run_of(runs_folder, "flowers").decisions[:3]:
        expect(page.locator('details[data-part="decisions"]')).to_contain_text(decision.override.split(",")[0])
    expect(page.locator(".copyable code").last).to_contain_text("nudge train")


def test_a_run_that_is_not_there_is_said(page: Page, context: BrowserContext) -> None:
    context.watched.expected.append("404")  # type: ignore[attr-defined]
    page.goto(re.sub(r"[?#].*", "", page.url) + "#/run/nobody")
    expect(page.get_by_role("alert")).to_contain_text("no such run")


def test_advice_is_tried_and_laid_over_the_curves(page: Page, runs_folder: Path) -> None:
    advice = [one for one in run_of(runs_folder, "flowers").verdict.advice if one.setting]
    open_run(page, "flowers")
    page.get_by_role("button", name=f"Try {advice[0].setting}=").click()
    fork = page.locator(".forks li").first
    expect(fork).to_contain_text("done", timeout=ANSWERS_MS)
    expect(page.locator(".legend li", has_text=f"{advice[0].setting}=")).to_be_visible()
    name = (fork.get_by_role("link", name="Open").get_attribute("href") or "").removeprefix("#/run/")
    summary = run_of(runs_folder, name).summary
    assert "test" not in summary["metrics"] or not summary["metrics"]["test"]  # the test part stays unread


# Several runs.


def test_runs_are_compared(page: Page) -> None:
    for name in ("flowers", "flowers-wide"):
        row_of(page, name).get_by_role("checkbox").check()
    page.get_by_role("button", name="Compare 2 runs").click()
    expect(page.get_by_role("heading", name="2 runs side by side")).to_be_visible()
    stage = page.locator(".chart .stage")
    expect(stage).to_have_attribute("aria-label", re.compile("flowers-wide: from"))
    stage.focus()
    page.keyboard.press("+")
    expect(page.get_by_role("button", name="Show all")).to_be_visible()
    page.get_by_label("Show", exact=True).select_option("accuracy")  # finer points of the losses are none of it
    expect(stage).to_have_attribute("aria-label", re.compile("accuracy"))
    expect(page.get_by_role("button", name="Show all")).to_be_hidden()
    differences = page.get_by_role("table", name="Settings that differ")
    expect(differences.get_by_role("row", name=re.compile("^width"))).to_contain_text("64")
    expect(page.locator(".tests")).to_contain_text("95% interval")


# A new training.


def test_a_training_is_started_watched_and_stopped(page: Page, sources: Path, runs_folder: Path) -> None:
    page.get_by_role("link", name="New training").first.click()
    page.get_by_label("Folder or file").fill(str(sources))
    page.get_by_role("button", name="Open").click()
    page.get_by_role("button", name="flowers.csv").click()
    page.get_by_role("radio", name=re.compile("^kind")).check()
    page.get_by_label("epochs", exact=True).fill("3000")
    page.get_by_label("name", exact=True).fill("from-page")
    line = page.locator(".copyable code")
    expect(line).to_contain_text("--set epochs=3000")
    expect(line).to_contain_text("--name from-page")
    page.get_by_text("All settings").click()
    page.get_by_text("The loop").click()
    page.get_by_label("patience").fill("3000")
    expect(line).to_contain_text("patience=3000")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.locator("h1")).to_have_text("from-page", timeout=ANSWERS_MS)
    expect(page.locator(".badge.live").first).to_be_visible()
    epochs = page.locator(".facts")
    expect(epochs).to_contain_text(re.compile(r"\d+ epochs? of at most 3,000"), timeout=ANSWERS_MS)
    seen = int(re.search(r"([\d,]+) epochs?", epochs.inner_text())[1].replace(",", ""))  # type: ignore[index]
    expect(epochs).not_to_contain_text(re.compile(rf"\b{seen:,} epoch"))  # it goes on, live
    page.locator("section.network").scroll_into_view_if_needed()
    expect(page.locator("section.network .slot.output")).not_to_have_count(0)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".badge.live")).to_have_count(0, timeout=ANSWERS_MS)
    assert len(run_of(runs_folder, "from-page").epochs) < 3000
    # What was drawn while it trained gives way to the weights that it kept.
    expect(page.locator(".timebar .place")).to_contain_text("best, kept")
    expect(page.locator(".timebar .at")).to_have_text("✓ exact", timeout=ANSWERS_MS)


# For everybody.


def test_names_are_texts(page: Page) -> None:
    open_run(page, "flowers")
    page.get_by_text("Columns", exact=True).click()
    expect(page.locator('details[data-part="columns"]')).to_contain_text(NASTY)
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img[onerror]").count() == 0


def test_a_word_explains_itself_on_focus_and_hover(page: Page) -> None:
    open_run(page, "flowers")
    word = page.locator(".term", has_text="accuracy").first
    word.focus()
    expect(page.get_by_role("tooltip")).to_contain_text("share of rows")
    page.keyboard.press("Escape")
    expect(page.get_by_role("tooltip")).to_have_count(0)
    word.hover()
    expect(page.get_by_role("tooltip")).to_be_visible()


def test_the_words_page_explains_every_word_of_the_page(page: Page) -> None:
    page.get_by_role("link", name="Words").click()
    expect(page.locator(".words dt")).to_have_count(len(GLOSSARY))
    page.get_by_label("Find a word").fill("kink gives zero")
    expect(page.locator(".words div:visible dt")).to_have_text(["dead neuron"])
    assert len(GLOSSARY) >= 40
    assert all(20 < len(meaning) < 170 and meaning.endswith((".", "?")) for meaning in GLOSSARY.values())
    scripts = "".join(path.read_text("utf-8") for path in STATIC.glob("*.js"))
    used = set(re.findall(r'\bterm\("([^"]+)"', scripts)) | {
        "accuracy",
        "AUC",
        "F1",
        "log loss",
        "RMSE",
        "mean error",
        "R²",
    }
    assert used <= set(GLOSSARY)


@pytest.mark.parametrize("width", [320, 390, 640, 1280])
@pytest.mark.parametrize("address", ["#/", "#/run/flowers", "#/compare/flowers,flowers-wide", "#/new", "#/words"])
def test_nothing_is_wider_than_the_page(page: Page, width: int, address: str) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(re.sub(r"[?#].*", "", page.url) + address)
    page.wait_for_selector("h1")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, as WCAG 2 defines it."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_colours_have_enough_contrast(page: Page, theme: str) -> None:
    page.get_by_label(theme, exact=True).check()
    style = "(name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"
    ground = [page.evaluate(style, name) for name in ("--paper", "--panel", "--raised")]
    of = {name: page.evaluate(style, f"--{name}") for name in ["ink", "soft", "accent", "good", "warn", "bad", "unknown", "train", "validation", "batch", "control", "line-1", "line-2", "line-3", "line-4", "line-5", "line-6", "good-paper", "warn-paper", "bad-paper", "unknown-paper", "accent-paper", "accent-ink"]}  # fmt: skip
    for name in ("ink", "soft", "accent"):
        assert min(contrast(of[name], paper) for paper in ground) >= 4.5, name
    for name in ("good", "warn", "bad", "unknown", "accent"):
        assert contrast(of[name], of[f"{name}-paper"]) >= 4.5, name
        assert contrast(of["ink"], of[f"{name}-paper"]) >= 4.5, name
    assert contrast(of["accent"], of["accent-ink"]) >= 4.5
    for name in ("train", "validation", "batch", "control", *(f"line-{place}" for place in range(1, 7))):
        assert contrast(of[name], ground[0]) >= 3, name


def test_a_keyboard_is_enough_to_open_a_run(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "run-name":
            break
    page.keyboard.press("Enter")
    expect(page.locator("h1")).not_to_have_text("Runs")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    page.keyboard.press("Tab")
    assert page.evaluate(outline) != "none"


# What is being trained.


def test_a_live_run_is_followed_to_its_end(page: Page, sources: Path, runs_folder: Path) -> None:
    """A training that is started from the page: its curves grow by themselves, and then it is done."""
    page.goto(re.sub(r"[?#].*", "", page.url) + "#/new")
    page.get_by_label("Folder or file").fill(str(sources / "flowers.csv"))
    page.get_by_role("button", name="Open").click()
    page.get_by_role("radio", name=re.compile("^kind")).check()
    page.get_by_label("epochs", exact=True).fill("200")
    page.get_by_label("name", exact=True).fill("followed")
    page.get_by_text("All settings").click()
    page.get_by_text("The loop").click()
    page.get_by_label("patience").fill("200")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.locator("h1")).to_have_text("followed", timeout=ANSWERS_MS)
    stage = page.locator(".chart .stage").first
    known: list[int] = []
    page.expose_function("nudgeSaw", lambda epoch: known.append(epoch))
    page.evaluate(
        """() => {
          const stage = document.querySelector('.chart .stage');
          const tell = () => {
            const found = /training rows: from .*? to .*? at epoch ([\\d,]+)/.exec(stage.getAttribute('aria-label'));
            if (found) window.nudgeSaw(Number(found[1].replace(',', '')));
          };
          new MutationObserver(tell).observe(stage, { attributes: true, attributeFilter: ['aria-label'] });
          tell();
        }"""
    )
    expect(page.locator(".facts")).to_contain_text("200 epochs", timeout=ANSWERS_MS)
    expect(page.locator(".badge.live")).to_have_count(0, timeout=ANSWERS_MS)
    expect(page.locator(".result .big")).to_be_visible()  # its test part was read at the end
    expect(stage).to_have_attribute("aria-label", re.compile("at epoch 200"))
    assert known == sorted(known)
    assert len(set(known)) > 2, "the curves grew while it trained"
    losses = [epoch.train_loss for epoch in run_of(runs_folder, "followed").epochs]
    page.get_by_text("The numbers", exact=True).first.click()
    rows = page.locator(".chart table").first.locator("tbody tr")
    expect(rows).to_have_count(200)
    shown = float(rows.last.locator("td").first.inner_text().replace("−", "-"))
    assert shown == pytest.approx(losses[-1], rel=1e-3)
