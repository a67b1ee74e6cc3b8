"""The README is true: every command and every block of code in it runs, and its table of settings is the code's.

`python tests/test_readme.py` writes the table of settings again.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SETTINGS = re.compile(r"(<!-- settings: .*? -->\n).*?(<!-- end of settings -->)", re.DOTALL)
NEW_ROWS = 12
NOT_CHOSEN = ("target", "test", "group", "time", "time_limit")  # without them there is none


def blocks(language: str) -> list[str]:
    return [code for found, code in BLOCK.findall(README.read_text()) if found == language]


def commands() -> list[list[str]]:
    """Every line of every bash block, as words."""
    return [shlex.split(line) for code in blocks("bash") for line in code.splitlines() if line]


def settings_table() -> str:
    """The settings as the code has them."""
    from nudgenet.settings import Settings

    words = {None: "chosen", True: "true", False: "false"}
    rows = ["| setting | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default
        if (default is None and name in NOT_CHOSEN) or default in ((), {}):
            default = "none"
        elif default is None or isinstance(default, bool):
            default = words[default]
        rows.append(f"| `{name}` | {default} | {field.description} |")
    return "\n".join(rows) + "\n"


@pytest.fixture
def here(houses: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the two tables of the README, which every command is run in."""
    lines = houses.read_text().splitlines(keepends=True)
    (houses.parent / "new_houses.csv").write_text("".join([lines[0], *lines[-NEW_ROWS:]]))
    monkeypatch.chdir(houses.parent)
    return houses.parent


def test_every_command_runs(here: Path, nudge: Callable[..., tuple[int, str, str]]) -> None:
    ours = [words[1:] for words in commands() if words[0] == "nudge"]
    assert len(ours) > 8
    for words in ours:
        # Enough to see that it runs: two epochs, and baselines only in the first line.
        short = ["--set", "epochs=2"] if words[0] == "train" else []
        short += ["--no-baselines"] if short and words is not ours[0] and "--no-baselines" not in words else []
        code, _, err = nudge(*words, *short)
        assert code == 0, (words, err)
    answers = (here / "answers.csv").read_text().splitlines()
    assert answers[0] == "prediction" and len(answers) == NEW_ROWS + 1


def test_installing_works_as_it_says() -> None:
    """In a short form: make knows the targets, and what pip is told to install is there."""
    others = [words for words in commands() if words[0] != "nudge"]
    assert [words[:2] for words in others] == [
        ["make", "demo"],
        ["make", "test"],
        ["python3", "-m"],
        [".venv/bin/python", "-m"],
        [".venv/bin/nudge", "demo"],
    ]
    for target in ("install", "demo", "test", "check", "bench"):
        planned = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert planned.returncode == 0, planned.stderr
    assert others[3][-2:] == ["constraints.txt", ".[all]"] and (ROOT / "constraints.txt").is_file()
    assert 'all = ["nudgenet[' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.filterwarnings("ignore::nudgenet.errors.DataWarning")
def test_every_block_of_code_runs(here: Path, nudge: Callable[..., tuple[int, str, str]]) -> None:
    """One after the other, as a reader would type them."""
    assert (
        nudge("train", "houses.csv", "--target", "price", "--name", "first", "--set", "epochs=2", "--no-baselines")[0]
        == 0
    )
    names: dict[str, object] = {}
    code = blocks("python")
    assert len(code) == 6
    for block in code:
        short = block.replace('time_limit="60s"', "epochs=2, baselines=False").replace(
            "epochs=20", "epochs=2, baselines=False"
        )
        exec(compile(short, str(README), "exec"), names)


def test_the_table_of_settings_is_true() -> None:
    found = SETTINGS.search(README.read_text())
    assert found, "README.md has lost the marks around its table of settings"
    assert (
        SETTINGS.sub(lambda match: match[1] + settings_table() + match[2], README.read_text()) == README.read_text()
    ), "the table of settings is not that of the code: python tests/test_readme.py"


def test_links_lead_somewhere() -> None:
    for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / name).read_text()):
            assert link.startswith("https://") or (ROOT / link).exists(), (name, link)


def test_the_architecture_names_what_there_is() -> None:
    """Every module and every layer stands in ARCHITECTURE.md, and nothing else does."""
    from test_layers import LAYERS

    text = (ROOT / "ARCHITECTURE.md").read_text()
    package = ROOT / "src" / "nudgenet"
    layout = text.split("```text")[1].split("```")[0]
    named = set(re.findall(r"\b(\w+\.py)\b", layout))
    real = {path.name for path in package.rglob("*.py") if path.name != "__init__.py"} | {"__init__.py"}
    assert named == real, (named - real, real - named)
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", text, re.MULTILINE)
    assert [set(re.findall(r"`(\w+)`", names)) for _, names in rows] == LAYERS


def test_the_changelog_knows_this_version() -> None:
    import nudgenet

    assert f"## [{nudgenet.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


if __name__ == "__main__":
    README.write_text(SETTINGS.sub(lambda match: match[1] + settings_table() + match[2], README.read_text()))
