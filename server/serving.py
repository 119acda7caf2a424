"""Running the service: one process or several, told what to do by settings, ended without losing anything."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

import pqdb

from . import logs
from .app import create_app
from .connection import PatientProtocol
from .limits import few_heaps, many_files
from .metrics import MULTIPROCESS
from .settings import Settings, load

log = logging.getLogger("pqdb.server")


def serve(path: str | os.PathLike[str] | None = None, **given: Any) -> None:
    """Serve the database at `path` until the process is told to stop.

    Arguments are fields of Settings (`host=`, `port=`, `read_only=`, `log_level=` …); what is not given
    comes from the environment and the settings file. Raises PqdbError when the folder cannot be opened, a
    setting is wrong, or strangers could come in without a key.
    """
    if path is not None:
        given["path"] = path
    settings = load(**given)
    settings.refuse_open_doors()
    many_files()
    # Tried here first: what fails inside uvicorn's start comes out as a traceback and not as our sentence.
    pqdb.open(settings.path, **settings.opening).close()
    _check_tls(settings)
    logs.set_up(settings)
    log.info("pqdb %s starts", pqdb.__version__, extra={"settings": settings.shown()})
    if settings.workers == 1:
        uvicorn.Server(_config(settings, Application(settings, None))).run()
    else:
        _serve_by_several(settings)


class Application:
    """Makes the application in the process that serves it. Travels to worker processes, so it holds no handle."""

    def __init__(self, settings: Settings, shared: Path | None) -> None:
        self._settings = settings
        self._shared = shared

    def __call__(self) -> ASGIApp:
        few_heaps()
        logs.set_up(self._settings)
        return create_app(settings=self._settings, shared=self._shared)


def _config(settings: Settings, application: Application) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http=cast("type[asyncio.Protocol]", partial(PatientProtocol, patience=settings.header_timeout)),
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        log_config=None,
        log_level=settings.log_level,
        access_log=False,
        ws="none",
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=settings.grace,
        server_header=False,
    )


def _serve_by_several(settings: Settings) -> None:
    """Worker processes behind one socket, each with the database open; one that dies is started again."""
    with tempfile.TemporaryDirectory(prefix="pqdb-serve-") as folder:
        os.environ[MULTIPROCESS] = folder
        config = _config(settings, Application(settings, Path(folder)))
        with config.bind_socket() as sock:
            sock.listen(config.backlog)  # connections wait until the first worker has started
            Multiprocess(config, sockets=[sock]).run()


def _check_tls(settings: Settings) -> None:
    """Raise InputError for certificate files that cannot be read."""
    for path in (settings.tls_cert, settings.tls_key):
        if path is not None and not os.access(path, os.R_OK):
            raise pqdb.InputError(f"the TLS file {path} cannot be read")
