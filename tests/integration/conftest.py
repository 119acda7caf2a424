"""The official client two ways: over a socket, and in process by the transport. Neighbours that are not installed
cannot be collected: `make test` does without them."""

import contextlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient

import pqdb
import pqdb_server
from tests.server.conftest import serving

NEEDS = {
    "test_langchain.py": "langchain_qdrant",
    "test_langchain_standard.py": "langchain_tests",
    "test_llamaindex.py": "llama_index.vector_stores.qdrant",
    "test_haystack.py": "haystack_integrations.document_stores.qdrant",
    "test_schema.py": "schemathesis",
    "test_dashboard.py": "playwright",
}


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


collect_ignore = [file for file, name in NEEDS.items() if not _is_there(name)]


@pytest.fixture
def served(tmp_path) -> Iterator[str]:
    """The service on a free port of the loopback address: its URL."""
    with pqdb.open(tmp_path / "served") as database, serving(pqdb_server.create_app(database)) as url:
        yield url


@pytest.fixture(params=["socket", "transport"])
def connect(request, tmp_path) -> Iterator[Callable[[], QdrantClient]]:
    """Make official clients of one service."""
    with contextlib.ExitStack() as stack:
        if request.param == "socket":
            url, options = request.getfixturevalue("served"), {}
        else:
            transport = stack.enter_context(pqdb_server.transport(tmp_path / "embedded"))
            url, options = "http://embedded", {"transport": transport, "check_compatibility": False}

        def make() -> QdrantClient:
            client = QdrantClient(url=url, timeout=120, **options)
            if request.param == "socket":  # closing a client closes its transport, which others still use
                stack.callback(client.close)
            return client

        make.url = url  # type: ignore[attr-defined]  # for integrations that make their client themselves
        yield make


@pytest.fixture
def client(connect) -> QdrantClient:
    return connect()


@pytest.fixture
def async_client(served) -> AsyncQdrantClient:
    return AsyncQdrantClient(url=served, timeout=120)
