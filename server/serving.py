"""Running the service as a process of its own."""

from __future__ import annotations

import os
from typing import Any

import uvicorn

import pqdb

from .app import create_app
from .settings import Settings

GRACE = 30  # seconds for what is in flight when the process is asked to stop


def serve(path: str | os.PathLike[str] | None = None, **given: Any) -> None:
    """Serve the database at `path` until the process is told to stop.

    Arguments are fields of Settings (`host=`, `port=`, `read_only=`, `log_level=` …); what is not given
    comes from the environment. Raises PqdbError when the folder cannot be opened.
    """
    if path is not None:
        given["path"] = path
    settings = Settings(**given)
    # Tried here first: what fails inside uvicorn's start comes out as a traceback and not as our sentence.
    pqdb.open(settings.path, read_only=settings.read_only).close()
    uvicorn.run(
        create_app(settings=settings),
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        timeout_graceful_shutdown=GRACE,
        server_header=False,
    )
