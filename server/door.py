"""The door every request comes through: an id, a key that fits, not too many at once, and a line when it has gone."""

from __future__ import annotations

import logging
import re
from random import getrandbits
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import pqdb

from .envelope import failure
from .keys import EVERYTHING, OPEN, OPEN_FOLDER, Access, Keys, Need, shown_key
from .logs import request_id
from .metrics import Metrics
from .settings import Settings

ACCESS = "pqdb.access"  # the key of a request's scope under which handlers find what its key opens

_ID = re.compile(rb"[A-Za-z0-9_.:-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_NO_KEY = "Must provide an API key or an Authorization bearer token"
_BAD_KEY = "Invalid API key or bearer token"
log = logging.getLogger("pqdb.server.requests")


class TrailingSlash:
    """Trims a path's trailing slashes, as Qdrant does, instead of sending clients round by a redirect."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and len(path) > 1 and path.endswith("/"):
            scope = {**scope, "path": path.rstrip("/") or "/"}
        await self.app(scope, receive, send)


class Door:
    """Watches every request: names, counts, times and logs it, and turns away whom it may not let in."""

    def __init__(self, app: ASGIApp, settings: Settings, keys: Keys, metrics: Metrics) -> None:
        self.app = app
        self._settings = settings
        self._keys = keys
        self._metrics = metrics
        self._logged = {"none": 600, "failures": 400, "all": 0}[settings.log_requests]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        name = _request_id(scope["headers"])
        token = request_id.set(name)
        status = 500

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", name.encode())]
            await send(message)

        activity = scope["app"].state.activity if "app" in scope else None
        if activity is not None:
            activity.begin()
        try:
            refusal = self._refusal(scope, activity)
            await (self.app if refusal is None else refusal)(scope, receive, named)
        finally:
            if activity is not None:
                activity.end()
            seconds = perf_counter() - started
            route = getattr(scope.get("route"), "path", "(none)")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.request(method, route, status, seconds)
            if status >= self._logged:
                self._tell(scope, route, status, seconds)
            request_id.reset(token)

    def _refusal(self, scope: Scope, activity: Any) -> Response | None:
        path = scope["path"]
        if path in OPEN or path == OPEN_FOLDER or path.startswith(f"{OPEN_FOLDER}/"):
            return None
        if scope["method"] == "POST" and (stranger := _stranger(scope["headers"])) is not None:
            return failure(403, f"Forbidden: a page of {stranger[:200]!r} may not send this to another service")
        if activity is not None and activity.running > self._settings.queue_limit:
            answer = failure(429, f"Too many requests: {self._settings.queue_limit} are being answered; try again")
            answer.headers["retry-after"] = "1"
            return answer
        if not self._keys:
            scope[ACCESS] = EVERYTHING
            return None
        return self._locked(scope, path)

    def _locked(self, scope: Scope, path: str) -> Response | None:
        """The answer to a request whose key does not fit; None lets it in."""
        key = shown_key(scope["headers"])
        access = None if key is None else self._keys.access(key)
        if access is None:
            return PlainTextResponse(_NO_KEY if key is None else _BAD_KEY, 401, {"www-authenticate": "Bearer"})
        need = Need.of(scope["method"], path)
        if not access.allows(need, self._real_name(scope, access, need)):
            what = "writing" if need.write else "reading"
            return PlainTextResponse(f"Forbidden: this API key does not allow {what} here", 403)
        scope[ACCESS] = access
        return None

    @staticmethod
    def _real_name(scope: Scope, access: Access, need: Need) -> str | None:
        """The own name of a collection asked for by an alias."""
        database: pqdb.Database | None = getattr(scope["app"].state, "database", None)
        if access.collections is None or need.collection is None or database is None:
            return None
        return database.aliases().get(need.collection)

    def _tell(self, scope: Scope, route: str, status: int, seconds: float) -> None:
        client = scope.get("client")
        details = {
            "method": scope["method"],
            "path": scope["path"][:512],
            "route": route,
            "status": status,
            "milliseconds": round(seconds * 1e3, 3),
            "client": client[0] if client else None,
        }
        log.log(logging.INFO if status < 500 else logging.WARNING, "answered", extra=details)


def _stranger(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The page of another service that sends what browsers let any page send without asking us first, a form or
    nothing at all; None for all else. (JSON they ask about, and nobody allows it.)
    """
    if not any(name == b"origin" for name, _ in headers):
        return None
    held = {name: value.decode("latin-1") for name, value in headers}
    kind = held.get(b"content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or held.get(b"sec-fetch-site") == "same-origin":
        return None
    if urlsplit(held[b"origin"]).netloc == held.get(b"host"):
        return None
    return held[b"origin"]


def _request_id(headers: list[tuple[bytes, bytes]]) -> str:
    """The id a request brings with it, where it is a plain word; else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and _ID.fullmatch(value):
            return value.decode()
    return f"{getrandbits(64):016x}"
