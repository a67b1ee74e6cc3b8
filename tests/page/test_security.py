"""Nobody but the page itself is answered, and nothing leads out of the folder of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from nudgenet.page.context import NoSuchRun
from nudgenet.page.runs import restore
from nudgenet.page.security import Trust, same
from nudgenet.page.server import ROUTES, create_app, make_context

HOST = "127.0.0.1:8721"
ORIGIN = f"http://{HOST}"
FORBIDDEN = 403


def every_route(folder: Path) -> list[tuple[str, str]]:
    """(method, path) of everything that the page answers, the socket as "WS"."""
    found = [("GET", "/"), ("GET", "/api.js")]
    for module in ROUTES:
        for route in module.routes(make_context(folder)):
            assert isinstance(route, (Route, WebSocketRoute)) and not isinstance(route, Mount)
            path = route.path.replace("{name}", "binary").replace("{job}", "0").replace("{", "").replace("}", "")
            methods = sorted(route.methods or ()) if isinstance(route, Route) else ["WS"]
            found += [(method, path) for method in methods if method != "HEAD"]
    return found


@pytest.fixture(scope="module")
def trust() -> Trust:
    return Trust.at("127.0.0.1", 8721)


@pytest.fixture(scope="module")
def app(quick_runs: dict[str, Path], trust: Trust) -> Any:
    return create_app(make_context(quick_runs["binary"].parent), trust)


def ask(app: Any, method: str, path: str, headers: dict[str, str], cookie: tuple[str, str] | None) -> int:
    """The status of one request (the socket: 101 or 403)."""
    client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
    if cookie is not None:
        client.cookies.set(*cookie)
    if method != "WS":
        return client.request(method, path, headers=headers, json={} if method == "POST" else None).status_code
    try:
        with client.websocket_connect(f"ws://{HOST}{path}", headers=headers):
            return 101
    except WebSocketDisconnect as refused:
        assert refused.code == 1008
        return FORBIDDEN


def test_there_are_routes_of_every_kind(quick_runs: dict[str, Path]) -> None:
    routes = every_route(quick_runs["binary"].parent)
    assert len(routes) > 20 and {method for method, _ in routes} >= {"GET", "POST", "DELETE", "WS"}


BAD: dict[str, tuple[dict[str, str], str]] = {
    "no cookie": ({"origin": ORIGIN}, ""),
    "a wrong cookie": ({"origin": ORIGIN}, "wrong"),
    "a foreign name for this machine": ({"host": "evil.example:8721", "origin": "http://evil.example:8721"}, "right"),
    "another port": ({"host": "127.0.0.1:8722", "origin": "http://127.0.0.1:8722"}, "right"),
    "no port": ({"host": "127.0.0.1", "origin": "http://127.0.0.1"}, "right"),
    "a name that begins alike": ({"host": "127.0.0.1:8721.evil.example", "origin": ORIGIN}, "right"),
    "a foreign origin": ({"origin": "https://evil.example"}, "right"),
    "no origin at all, said so": ({"origin": "null"}, "right"),
    "the same machine, another port": ({"origin": "http://127.0.0.1:3000"}, "right"),
    "the same machine by another name": ({"origin": "http://localhost:8721"}, "right"),
    "the same place, encrypted": ({"origin": "https://127.0.0.1:8721"}, "right"),
    "an image on another page of this machine": ({"origin": ORIGIN, "sec-fetch-site": "same-site"}, "right"),
}


@pytest.mark.parametrize("why", list(BAD))
def test_every_route_refuses(app: Any, trust: Trust, quick_runs: dict[str, Path], why: str) -> None:
    headers, kind = BAD[why]
    cookie = {"": None, "wrong": (trust.cookie, trust.token), "right": (trust.cookie, trust.session)}[kind]
    for method, path in every_route(quick_runs["binary"].parent):
        assert ask(app, method, path, headers, cookie) == FORBIDDEN, (method, path)


def test_what_changes_something_needs_an_origin(app: Any, trust: Trust, quick_runs: dict[str, Path]) -> None:
    cookie = (trust.cookie, trust.session)
    for method, path in every_route(quick_runs["binary"].parent):
        found = ask(app, method, path, {}, cookie)
        assert (found == FORBIDDEN) == (method != "GET"), (method, path)


def test_the_page_itself_passes(app: Any, trust: Trust) -> None:
    cookie = (trust.cookie, trust.session)
    for host in (HOST, "localhost:8721"):
        headers = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
        assert ask(app, "GET", "/api/runs", headers, cookie) == 200
        assert ask(app, "POST", "/api/command", headers, cookie) == 400  # an empty form
        assert ask(app, "WS", "/api/live", headers, cookie) == 101


def test_the_token_becomes_a_cookie(app: Any, trust: Trust) -> None:
    client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
    for wrong in ("", "?token=", "?token=wrong", f"?token={trust.token}x", f"?token={trust.session}"):
        answer = client.get(f"/{wrong}")
        assert answer.status_code == FORBIDDEN and "set-cookie" not in answer.headers
        assert "nudge page" in answer.text
    assert client.get(f"/api/runs?token={trust.token}").status_code == FORBIDDEN
    answer = client.get(f"/?token={trust.token}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    name, _, rest = answer.headers["set-cookie"].partition("=")
    assert name == "nudgenet-8721", "two pages on one machine do not overwrite each other's cookie"
    attributes = {part.strip().lower() for part in rest.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= attributes
    assert trust.token not in rest, "what stood in the address is not what the cookie holds"
    assert client.get("/api/runs").status_code == 200


def test_secrets_are_long_random_and_not_shown() -> None:
    ones = [Trust.at("127.0.0.1", 8721) for _ in range(3)]
    assert len({secret for trust in ones for secret in (trust.token, trust.session)}) == 6
    assert all(len(trust.token) >= 43 for trust in ones)
    assert ones[0].token not in repr(ones[0]) and ones[0].session not in repr(ones[0])
    assert same("a", "a") and not same("a", "b") and not same("", "b") and not same("ä", "a")


def test_other_machines_only_when_asked_for() -> None:
    assert Trust.at("127.0.0.1", 8721).hosts == {"127.0.0.1:8721", "localhost:8721"}
    wide = Trust.at("0.0.0.0", 8721).hosts
    assert wide > {"127.0.0.1:8721", "localhost:8721"} and "0.0.0.0:8721" not in wide
    assert all(host.endswith(":8721") and "*" not in host for host in wide)
    assert "127.0.0.1" in Trust.at("127.0.0.1", 80).hosts, "browsers leave the usual port away"


def test_headers_of_every_answer(app: Any, trust: Trust) -> None:
    client = TestClient(app, base_url=ORIGIN, headers={"origin": ORIGIN}, follow_redirects=False)
    answers = [client.get("/"), client.get(f"/?token={trust.token}")]
    answers += [client.get(path) for path in ("/", "/api.js", "/api/runs", "/api/nothing", "/nothing", "/api/runs/no")]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "object-src 'none'" in policy
        assert "unsafe" not in policy and "*" not in policy and "data:" not in policy
        assert f"connect-src 'self' ws://{HOST};" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers and "server" not in answer.headers


def test_the_report_is_shut_in(page: Any) -> None:
    """Its styles and scripts are inside it, so it gets a policy of its own: a sandbox without an origin."""
    answer = page.client.get("/api/runs/binary/report")
    assert answer.status_code == 200 and "<html" in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox ") and "allow-same-origin" not in policy and "default-src 'none'" in policy


NAMES = (
    "..", "../runs", "../../etc", ".", "./binary", ".trash", "binary/..", "binary\0", "/etc", "//etc", "C:\\", "",
    "binary\\..\\..", "b/../binary", " binary", "binary ", "binary\n", "x" * 300, "%2e%2e", "..%2f",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_lead_nowhere_else(page: Any, name: str) -> None:
    with pytest.raises(NoSuchRun):
        page.context.store(name)
    with pytest.raises(NoSuchRun):
        restore(page.context, name)
    sent = quote(name, safe="").replace(".", "%2E")  # else the client itself would tidy it up
    for path in ("", "/series", "/health", "/report"):
        answer = page.client.get(f"/api/runs/{sent}{path}")
        assert answer.status_code == 404 and "error" in answer.json(), (path, answer.text[:200])
    for method, path in (("DELETE", ""), ("POST", "/restore"), ("POST", "/note"), ("POST", "/fork"), ("POST", "/stop")):
        answer = page.client.request(method, f"/api/runs/{sent}{path}", json={"text": "x"} if path else None)
        assert answer.status_code in (400, 404, 405), (path, answer.text)


@pytest.mark.parametrize("path", ["server.py", "settings.py", "static/../server.py", "index.html/../../context.py"])
def test_only_our_static_files_are_served(page: Any, path: str) -> None:
    for way in (f"../{path}", f"../../{path}", f"static/../../{path}", path):
        answer = page.client.get("/" + quote(way, safe="").replace(".", "%2E"))
        assert answer.status_code == 404, way


def test_links_are_not_followed(own_page: Any, tmp_path: Path) -> None:
    """A run is a folder that lies in the folder of runs: a link may lead anywhere."""
    outside = tmp_path / "outside"
    (tmp_path / "runs" / "binary").rename(outside)
    (tmp_path / "runs" / "linked").symlink_to(outside)
    assert {row["name"] for row in own_page.get("runs")["runs"]} == {"multiclass", "regression"}
    own_page.error("GET", "runs/linked", status=404)
    own_page.error("DELETE", "runs/linked", status=404)
    (tmp_path / "runs" / "multiclass" / "report.html").unlink()
    (tmp_path / "runs" / "multiclass" / "report.html").symlink_to(outside / "settings.json")
    own_page.error("GET", "runs/multiclass/report", status=404)


def test_bodies_have_a_limit_and_a_type(page: Any) -> None:
    def post(**arguments: Any) -> int:
        return int(page.client.post("/api/runs/binary/note", **arguments).status_code)

    assert post(content=b"x" * (1 << 20) + b"x", headers={"content-type": "application/json"}) == 413
    assert post(content=b'{"text": "x"}', headers={"content-type": "text/plain"}) == 415
    assert post(content=b"text=x", headers={"content-type": "application/x-www-form-urlencoded"}) == 415
    for broken in (b"{", b"[]", b"1", b"null", b'{"a": NaN}', b"\xff\xfe"):
        assert post(content=broken, headers={"content-type": "application/json"}) == 400


def test_a_bug_is_one_line_for_the_page(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(type(page.context.shelf), "rows", broken)
    client = TestClient(
        page.client.app, base_url=ORIGIN, raise_server_exceptions=False, cookies=dict(page.client.cookies)
    )
    answer = client.get("/api/runs")
    assert answer.status_code == 500 and "a secret" not in answer.text and "bug in nudgenet" in answer.json()["error"]
    assert "default-src 'self'" in answer.headers["content-security-policy"]
