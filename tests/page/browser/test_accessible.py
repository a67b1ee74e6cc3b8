"""Every view against the rules of axe-core, in both themes: names, roles, contrast, focus."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

VIEWS = ["#/", "#/run/flowers", "#/compare/flowers,flowers-wide", "#/new", "#/words", "#/playground"]


def problems(page: Page) -> list[str]:
    """What axe finds wrong: the rule, and where."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("theme", ["Light", "Dark"])
@pytest.mark.parametrize("address", VIEWS)
def test_axe_finds_nothing(page: Page, address: str, theme: str) -> None:
    page.get_by_role("radio", name=theme, exact=True).check()
    page.goto(re.sub(r"[?#].*", "", page.url) + address)
    expect(page.locator("h1")).to_be_visible()
    for panel in page.locator("section.panel:visible").all():
        panel.scroll_into_view_if_needed()
        expect(page.locator(".panel[aria-busy]")).to_have_count(0)
    if address == "#/playground":
        page.get_by_role("button", name="Start", exact=True).click()
        expect(page.locator(".playground .status")).to_have_text(re.compile("Epoch"))
        page.get_by_role("button", name="Pause", exact=True).click()
    for summary in page.locator("summary:visible").all():
        summary.click()
    page.wait_for_timeout(300)
    assert problems(page) == []
