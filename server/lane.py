"""The fast lane: the busiest operations, taken to their handlers without the framework's detour.

Layers around the application, routing by regular expressions, resolving dependencies and checking parameters by models
take longer than a search. A request that asks for nothing unusual has nothing to resolve: its path is split by hand and
its handler, the very one of the route, is called with the parameters' defaults. All others go the ordinary way, and all
do where the caller has put a layer of his own around the application.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .envelope import failure
from .errors import UNFORESEEN, Refusal
from .parameters import ReadParams, WriteParams

log = logging.getLogger("pqdb.server")

LOOK = 1.0  # seconds after which it is looked again whether the lanes may be open
_TAKEN = "pqdb.lane"  # the key of a request's scope under which its lane is
Handler = Callable[..., Awaitable[Response]]


@dataclass(frozen=True)
class Lane:
    """One operation on a collection."""

    route: Any  # for metrics and logs: it has a `path`
    handler: Handler
    options: dict[bytes, dict[str, Any]]  # query string → arguments of the handler
    recall: bool  # whether the handler takes the header x-pqdb-recall


class FastLanes(FastAPI):
    """FastAPI with a second entrance: what takes a lane comes in by a door of its own, like that of all others."""

    def open_lanes(
        self, lanes: dict[tuple[str, str], Lane], door: Callable[[ASGIApp], ASGIApp], layers: Sequence[Any]
    ) -> None:
        """`lanes`: (method, what follows the collection's name) → Lane. They are closed while anything is put around
        the application but these layers of its own: a caller's layers, instruments, a handler of errors.
        """
        self._lanes = lanes
        self._entrance = door(_answer)
        self._layers: list[Any] = list(layers)
        self._handler = self.exception_handlers.get(Exception)
        self._are_open, self._look_again = False, 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken = self._taken(scope) if scope["type"] == "http" else None
        if taken is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"], scope[_TAKEN] = self, taken
        try:
            await self._entrance(scope, receive, send)
        except Exception as error:  # as the ordinary way answers what nobody foresaw
            log.error("an operation failed in a way nobody foresaw", exc_info=error)
            await failure(500, UNFORESEEN)(scope, receive, send)

    def _taken(self, scope: Scope) -> tuple[Lane, str, dict[str, Any]] | None:
        """The lane of a request, its collection and its handler's options."""
        parts = scope["path"].split("/", 3)
        if len(parts) < 4 or parts[1] != "collections" or not parts[2] or not self._is_alone():
            return None
        lane = self._lanes.get((scope["method"], parts[3]))
        options = None if lane is None else lane.options.get(scope["query_string"])
        return None if lane is None or options is None else (lane, parts[2], options)

    def _is_alone(self) -> bool:
        """Whether nobody has put anything around the application; looked at once in a while."""
        now = perf_counter()
        if now >= self._look_again:
            self._look_again = now + LOOK
            self._are_open = (
                [each.cls for each in self.user_middleware] == self._layers
                and "build_middleware_stack" not in vars(self)  # as instruments replace it
                and self.exception_handlers.get(Exception) is self._handler
                and not self._native_telemetry.enabled()
            )
        return self._are_open


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    lane, name, options = scope[_TAKEN]
    request = Request(scope, receive, send)
    scope["route"] = lane.route
    if lane.recall:
        options = {**options, "x_pqdb_recall": request.headers.get("x-pqdb-recall")}
    try:
        response = await lane.handler(request, name, **options)
    except Refusal as refusal:
        response = failure(refusal.status, refusal.text)
    except ClientDisconnect:
        return
    await response(scope, receive, send)


def lanes(routes: list[Any]) -> dict[tuple[str, str], Lane]:
    """The lanes of those routes that have a body, a collection and no other parameter than those all have."""
    wait = {"params": WriteParams(wait=True)}
    write = {b"": {"params": WriteParams()}, b"wait=true": wait, b"wait=false": {"params": WriteParams()}}
    read = {b"": {"params": ReadParams()}}
    found: dict[tuple[str, str], Lane] = {}
    for route in routes:
        kind = route.endpoint.__annotations__.get("params")
        head, name, tail = route.path.partition("/collections/{collection_name}/")
        if head == "" and name and "{" not in tail and kind in ("Read", "Write"):
            recall = "x_pqdb_recall" in route.endpoint.__annotations__
            lane = Lane(route, route.endpoint, read if kind == "Read" else write, recall)
            found |= {(method, tail): lane for method in route.methods}
    return found
