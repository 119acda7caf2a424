"""The service in process, and the service behind a real socket."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from qdrant_client import QdrantClient

import pqdb
import pqdb_server

DIM = 4


class Http:
    """Requests to one service, each answered with (status, body)."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def __call__(self, method: str, path: str, body: object = None, **options) -> tuple[int, dict]:
        content = {} if body is None else {"json": body}
        answer = self.client.request(method, path, **content, **options)
        return answer.status_code, answer.json()

    def raw(self, method: str, path: str, content: bytes, kind: str = "application/json") -> tuple[int, dict]:
        answer = self.client.request(method, path, content=content, headers={"content-type": kind})
        return answer.status_code, answer.json()

    def ok(self, method: str, path: str, body: object = None, **options):
        """The result of a request that must succeed."""
        status, answer = self(method, path, body, **options)
        assert status == 200, answer
        assert answer["status"] == "ok"
        assert isinstance(answer["time"], float)
        return answer["result"]

    def error(self, method: str, path: str, body: object = None, **options) -> tuple[int, str]:
        """Status and text of a request that must fail, its envelope checked."""
        return failed(*self(method, path, body, **options))


def failed(status: int, answer: dict) -> tuple[int, str]:
    assert status >= 400, answer
    assert answer.keys() == {"status", "time"}
    assert answer["status"].keys() == {"error"}
    return status, answer["status"]["error"]


@pytest.fixture
def database(tmp_path) -> Iterator[pqdb.Database]:
    with pqdb.open(tmp_path / "db", upkeep="manual") as database:
        yield database


@pytest.fixture
def connect() -> Iterator[Callable[..., Http]]:
    """Start an embedded service: `connect(database, settings=None) -> Http`."""
    with contextlib.ExitStack() as stack:

        def start(database: pqdb.Database, settings: pqdb_server.Settings | None = None) -> Http:
            transport = stack.enter_context(pqdb_server.transport(database, settings))
            return Http(httpx.Client(transport=transport, base_url="http://embedded"))

        yield start


@pytest.fixture
def serve() -> Iterator[Callable[..., Http]]:
    """Start a service that knows no caller, as over a socket: `serve(database, settings=None) -> Http`."""
    with contextlib.ExitStack() as stack:

        def start(database: pqdb.Database, settings: pqdb_server.Settings | None = None) -> Http:
            url = stack.enter_context(serving(pqdb_server.create_app(database, settings)))
            return Http(stack.enter_context(httpx.Client(base_url=url, timeout=60)))

        yield start


@pytest.fixture
def http(database, connect) -> Http:
    return connect(database)


@pytest.fixture
def docs(http) -> Http:
    """A service with the collection "docs"."""
    return fill(http)


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory) -> Iterator[Http]:
    """A service with the collection "docs", shared by the tests of a file that must not change it."""
    with embedded(tmp_path_factory.mktemp("unchanged")) as http:
        yield fill(http)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Iterator[Http]:
    """A service with the collection "docs", shared by tests that send it anything."""
    with embedded(tmp_path_factory.mktemp("hostile")) as http:
        yield fill(http)


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[Http]:
    """A service on a database of its own."""
    with (
        pqdb.open(folder / "db", upkeep="manual") as database,
        pqdb_server.transport(database) as transport,
    ):
        yield Http(httpx.Client(transport=transport, base_url="http://embedded"))


def fill(http: Http) -> Http:
    """Make the collection "docs" of three points: 1 and 2 with payloads, and a UUID without one."""
    http.ok("PUT", "/collections/docs", {"vectors": {"size": DIM, "distance": "Dot"}})
    points = [
        {
            "id": 1,
            "vector": [1.0, 0.0, 0.0, 0.0],
            "payload": {"lang": "en", "at": {"line": 7, "file": "a.py"}},
        },
        {"id": 2, "vector": [0.5, 0.5, 0.0, 0.0], "payload": {"lang": "de"}},
        {"id": UUID, "vector": [0.05, 0.1, 0.0, 0.0]},
    ]
    http.ok("PUT", "/collections/docs/points?wait=true", {"points": points})
    return http


UUID = "936da01f-9abd-4d9d-80c7-02af85c822a8"


@contextlib.contextmanager
def serving(app) -> Iterator[str]:
    """Serve an application on a free port of the loopback address; gives its URL."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture
def url(database) -> Iterator[str]:
    """The service on a real socket."""
    with serving(pqdb_server.create_app(database)) as url:
        yield url


@pytest.fixture
def client(url) -> Iterator[QdrantClient]:
    """The official client, unmodified, over a real socket."""
    with_client = QdrantClient(url=url, timeout=60)
    yield with_client
    with_client.close()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
