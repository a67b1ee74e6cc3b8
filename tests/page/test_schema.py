"""The form holds every setting, under the headings that `settings.py` has, with its limits."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from nudgenet import settings
from nudgenet.errors import SettingError
from nudgenet.page.schema import BASIC, schema
from nudgenet.settings import Settings, make_settings

FIELDS: list[dict[str, Any]] = [field for group in schema()["groups"] for field in group["fields"]]


def test_the_groups_are_the_headings_of_the_code() -> None:
    lines = inspect.getsource(settings.Settings).split("@field_validator")[0].splitlines()
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if heading := re.fullmatch(r"    # (.+)", line):
            found.append((heading[1], []))
        elif field := re.match(r"    (\w+): ", line):
            found[-1][1].append(field[1])
    assert [(group["title"], [field["name"] for field in group["fields"]]) for group in schema()["groups"]] == found


def test_every_setting_is_a_field_with_words() -> None:
    assert [field["name"] for field in FIELDS] == list(Settings.model_fields)
    assert all(field["description"] for field in FIELDS)
    assert {field["name"] for field in FIELDS if field["basic"]} == set(BASIC)
    assert {field["type"] for field in FIELDS} == {"number", "integer", "choice", "text", "bool"}


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field["name"])
def test_what_the_form_allows_is_what_the_settings_take(field: dict[str, Any]) -> None:
    name = field["name"]
    for choice in field.get("choices", ()):
        assert getattr(make_settings(**{name: choice}), name) == choice
    for bound, outwards in (("minimum", -1), ("maximum", 1)):
        if bound not in field:
            continue
        step = outwards if field["type"] == "integer" else outwards * 1e-9 * max(1.0, abs(field[bound]))
        with pytest.raises(SettingError):
            make_settings(**{name: field[bound] if field[f"{bound}_excluded"] else field[bound] + step})
        make_settings(**{name: field[bound] - step if field[f"{bound}_excluded"] else field[bound]})
    if field["optional"]:
        make_settings(**{name: None})


def test_the_form_is_served(page: Any) -> None:
    found = page.get("schema")
    assert found["groups"][0]["title"] == "The question"
    by_name = {field["name"]: field for group in found["groups"] for field in group["fields"]}
    assert by_name["dropout"] == {
        "name": "dropout", "type": "number", "minimum": 0, "minimum_excluded": False, "maximum": 1,
        "maximum_excluded": True, "default": None, "optional": True, "basic": True,
        "description": Settings.model_fields["dropout"].description,
    }  # fmt: skip
    assert "ensemble" in by_name["network"]["choices"] and by_name["residual"]["type"] == "bool"
