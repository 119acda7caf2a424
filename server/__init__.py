"""pqdb over HTTP: a subset of Qdrant's REST interface in front of the engine's front door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .app import create_app
from .serving import serve
from .settings import Settings

if TYPE_CHECKING:
    from .embedded import transport

__all__ = ["Settings", "create_app", "serve", "transport"]


def __getattr__(name: str) -> Any:
    if name == "transport":  # needs httpx, which the service itself does without
        from .embedded import transport

        return transport
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
