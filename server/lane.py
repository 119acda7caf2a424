"""The fast lane: the busiest operations, taken to their handlers without the framework's detour.

Routing by regular expressions, resolving dependencies and checking parameters by models take about as long as a
search. A request that asks for nothing unusual has nothing to resolve: its path is split by hand and its
handler, the very one of the route, is called with the parameters' defaults. All others go the ordinary way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .envelope import failure
from .errors import Refusal
from .parameters import ReadParams, WriteParams

Handler = Callable[..., Awaitable[Response]]


@dataclass(frozen=True)
class Lane:
    """One operation on a collection."""

    route: Any  # for metrics and logs: it has a `path`
    handler: Handler
    options: dict[bytes, dict[str, Any]]  # query string → arguments of the handler
    recall: bool  # whether the handler takes the header x-pqdb-recall


class FastLane:
    """Answers requests of the lanes, and passes all others on. `lanes`: (method, what follows the name) → Lane."""

    def __init__(self, app: ASGIApp, lanes: dict[tuple[str, str], Lane]) -> None:
        self.app = app
        self._lanes = lanes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            parts = scope["path"].split("/", 3)
            lane = self._lanes.get((scope["method"], parts[3])) if len(parts) == 4 else None
            if lane is not None and parts[1] == "collections" and parts[2]:
                options = lane.options.get(scope["query_string"])
                if options is not None:
                    await self._answer(lane, parts[2], options, scope, receive, send)
                    return
        await self.app(scope, receive, send)

    @staticmethod
    async def _answer(
        lane: Lane, name: str, options: dict[str, Any], scope: Scope, receive: Receive, send: Send
    ) -> None:
        request = Request(scope, receive, send)
        scope["route"] = lane.route
        if lane.recall:
            options = {**options, "x_pqdb_recall": request.headers.get("x-pqdb-recall")}
        try:
            response = await lane.handler(request, name, **options)
        except Refusal as refusal:
            response = failure(refusal.status, refusal.text)
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
