"""Who may talk to the page: as in Jupyter, whoever was given the token, from the page itself.

The page can read files and start programs with the rights of the person who opened it, so every request is checked
before anything else sees it, and the WebSocket's handshake likewise:

- `Host` is literally one of ours: a foreign name that was pointed at this machine (DNS rebinding) is refused.
- `Origin`, where the browser sends one, is literally the page's own; what changes something, and the socket, need one.
- The token in the address is exchanged for a cookie that scripts cannot read and other sites cannot send.

What goes out carries a Content-Security-Policy that runs nothing but our own files.
"""

from __future__ import annotations

import hmac
import secrets
import socket
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost")
SAFE_METHODS = ("GET", "HEAD")
OWN_PAGES = ("same-origin", "none")  # Sec-Fetch-Site: by the page, or typed by the person
POLICY_VIOLATION = 1008  # a WebSocket's close code (RFC 6455, section 7.4.1)


def new_secret() -> str:
    """256 random bits as text."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Trust:
    """What a request must show.

    hosts: the values of `Host` that are ours, each with its port.
    token: stands in the address that is printed; `session`: the cookie's value, which never stands anywhere else.
    """

    port: int
    hosts: frozenset[str]
    token: str = field(default_factory=new_secret, repr=False)
    session: str = field(default_factory=new_secret, repr=False)

    @classmethod
    def at(cls, host: str, port: int) -> Trust:
        """For a page that listens on this address and port."""
        names = {*LOOPBACK} if host in LOOPBACK else {*LOOPBACK, host, *own_names()}
        hosts = {f"{name}:{port}" for name in names - {"0.0.0.0"}}
        return cls(port, frozenset(hosts | (names if port == 80 else set())))  # browsers leave port 80 away

    @property
    def cookie(self) -> str:
        """The cookie's name: cookies do not tell ports apart, so two pages on one machine need two names."""
        return f"nudgenet-{self.port}"

    def refusal(self, scope: Scope) -> str:
        """Why this request is refused, in one line; "" if it may pass, but for its token or cookie."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return "This name is not one that the page answers to."
        origins = headers.getlist("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if (changes and not origins) or any(origin != f"http://{hosts[0].lower()}" for origin in origins):
            return "Only the page itself may ask for this."
        # Other pages of this machine (on other ports) are the same *site*: the cookie alone would let their images in.
        if headers.get("sec-fetch-site", "none") not in OWN_PAGES and not _is_navigation(headers):
            return "Only the page itself may ask for this."
        return ""

    def knows(self, scope: Scope) -> bool:
        """Whether the cookie is there and right."""
        cookies = cookie_parser("; ".join(Headers(scope=scope).getlist("cookie")))
        return same(cookies.get(self.cookie, ""), self.session)

    def exchange(self, scope: Scope) -> Response | None:
        """For an address with the right token: a cookie instead, and the same page without the token in its address."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
            return None
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if not same(query.get("token", ""), self.token):
            return None
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(self.cookie, self.session, httponly=True, samesite="strict", path="/")
        return response


class Guard:
    """Lets through what `Trust` lets through, and puts the security headers on whatever goes out."""

    def __init__(self, app: ASGIApp, trust: Trust) -> None:
        self.app, self.trust = app, trust

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        app = self._refuse(scope)
        if scope["type"] == "websocket":
            if app is not None:
                return await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return await self.app(scope, receive, send)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                add_headers(MutableHeaders(scope=message), Headers(scope=scope).get("host", ""))
            await send(message)

        return await (app or self.app)(scope, receive, send_guarded)

    def _refuse(self, scope: Scope) -> Response | None:
        """What is answered in the app's place; None if the app may answer."""
        if reason := self.trust.refusal(scope):
            return refused(scope, reason)
        if (exchanged := self.trust.exchange(scope)) is not None:
            return exchanged
        if self.trust.knows(scope):
            return None
        return refused(scope, "Open the address that `nudge page` printed: the token in it opens this page.")


def refused(scope: Scope, reason: str) -> Response:
    """The status 403 with its reason: JSON for our scripts, plain text for a person."""
    if scope["path"].startswith("/api/"):
        return JSONResponse({"error": reason}, 403)
    return PlainTextResponse(reason, 403)


def add_headers(headers: MutableHeaders, host: str) -> None:
    """What tells the browser to run our own files only, and to tell nobody anything. A route may set a stricter policy."""
    headers.setdefault("content-security-policy", policy(host))
    headers["x-content-type-options"] = "nosniff"
    headers["x-frame-options"] = "DENY"
    headers["referrer-policy"] = "no-referrer"
    headers["cross-origin-opener-policy"] = "same-origin"
    headers["cross-origin-resource-policy"] = "same-origin"
    headers["permissions-policy"] = "camera=(), geolocation=(), microphone=()"
    headers.setdefault("cache-control", "no-store")


def policy(host: str) -> str:
    """The Content-Security-Policy. The socket is named too: not every browser counts it as 'self'."""
    rules = {
        "default-src": "'self'",
        "connect-src": f"'self' ws://{host}",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def same(given: str, secret: str) -> bool:
    """Whether two texts are the same, in a time that does not tell how much of them is."""
    return hmac.compare_digest(given.encode(), secret.encode())


def own_names() -> set[str]:
    """This machine's name and its addresses, as a browser elsewhere would write them."""
    name = socket.gethostname()
    try:
        found = socket.getaddrinfo(name, None, family=socket.AF_INET)
    except OSError:
        found = []
    return {name.lower(), *(str(address[4][0]) for address in found)}


def _is_navigation(headers: Headers) -> bool:
    """Whether a person follows a link: the cookie does not come along from another site, but the token may."""
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
