"""The page's modules as one script."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nudgenet.bundle import STATIC, NotOurDialect, as_function, bundle, reached


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_every_module_of_the_page_can_be_inlined(path: Path) -> None:
    body = as_function(path.read_text("utf-8"))
    assert not re.search(r"^\s*(import|export)\b", body, re.MULTILINE) and "import(" not in body
    exports = re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", path.read_text("utf-8"), re.MULTILINE)
    assert body.endswith(f"return {{ {', '.join(exports)} }};")


def test_the_page_reaches_every_module_but_the_notebooks_and_each_once() -> None:
    names = [name for name, _ in reached("main.js")]
    assert sorted([*names, "notebook.js"]) == sorted(path.name for path in STATIC.glob("*.js"))
    script = bundle("main.js")
    assert all(script.count(f'\n"{name}": () => {{') == 1 for name in names[1:])
    assert script.endswith('nudgenetLoad("main.js");\n')


def write(folder: Path, **modules: str) -> Path:
    for name, source in modules.items():
        (folder / f"{name}.js").write_text(source)
    return folder


def test_what_a_module_needs_stands_before_it(tmp_path: Path) -> None:
    first = 'import {\n  a,\n  b as c,\n} from "./low.js";\nimport { d } from "./high.js";\nconst x = () => import("./late.js");\n'
    write(
        tmp_path, first=first, high='import { a } from "./low.js";\nexport const d = a;', low="export function a() {}"
    )
    write(tmp_path, late="export class Late {}")
    assert [name for name, _ in reached("first.js", tmp_path)] == ["low.js", "high.js", "first.js", "late.js"]
    script = bundle("first.js", tmp_path)
    assert re.search(r'const \{\s*a,\s*b: c,\s*\} = nudgenetLoad\("low.js"\);', script)
    assert 'nudgenetLater("late.js")' in script and "class Late {}\nreturn { Late };" in script


@pytest.mark.parametrize(
    "source",
    [
        'import everything from "./low.js";',
        'import * as low from "./low.js";',
        'import { a } from "https://elsewhere.example/a.js";',
        'import "./low.js";',
        "export default 1;",
        "export { a };",
        "export let a = 1;",
        "const later = import(name);",
        'const text = "</SCRIPT>";',
        'const text = "<!-- ";',
    ],
)
def test_what_is_not_our_dialect_is_refused(source: str) -> None:
    with pytest.raises(NotOurDialect):
        as_function(source)


def test_words_in_comments_are_no_code() -> None:
    assert "import" in as_function("// import is a word\n/** export, too */\nexport const a = 1;")


def test_modules_that_need_each_other_are_refused(tmp_path: Path) -> None:
    write(tmp_path, a='import { b } from "./b.js";', b='import { a } from "./a.js";')
    with pytest.raises(NotOurDialect, match=r"a\.js -> b\.js -> a\.js"):
        bundle("a.js", tmp_path)
