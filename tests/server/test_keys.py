"""API keys: what each opens, what stays open, and that every route asks for the right one."""

import pytest
from fastapi.routing import APIRoute

import pqdb_server
from pqdb_server.app import ROOMS
from pqdb_server.keys import OPEN, OPEN_FOLDER, READING_POSTS, Need

from .conftest import Http

ALL = {"api-key": "all"}
READ = {"api-key": "read"}
DOCS = {"api-key": "docs"}
LOOK = {"api-key": "look"}
SETTINGS = pqdb_server.Settings(
    api_key="all",
    read_only_api_key="read",
    api_keys=[
        {"key": "docs", "collections": ["docs"], "access": "full"},
        {"key": "look", "collections": ["docs"]},
    ],
)
POINT = {"points": [{"id": 9, "vector": [1, 1, 1, 1]}]}
QUERY = {"query": [1, 0, 0, 0]}


@pytest.fixture
def locked(docs, database, serve) -> Http:
    """A service with keys and the collections "docs" and "other"."""
    docs.ok("PUT", "/collections/other", {"vectors": {"size": 4, "distance": "Dot"}})
    return serve(database, SETTINGS)


def asked(http: Http, method: str, path: str, key: dict, body: object = None) -> int:
    return http.client.request(method, path, headers=key, json=body).status_code


@pytest.mark.parametrize("path", sorted(OPEN - {"/docs/oauth2-redirect"}))
def test_some_doors_are_open(locked, path):
    assert locked.client.get(path).status_code == 200


def test_without_a_key_or_with_a_wrong_one(locked):
    answer = locked.client.get("/collections")
    assert (answer.status_code, answer.text) == (401, "Must provide an API key or an Authorization bearer token")
    answer = locked.client.get("/collections", headers={"api-key": "al"})
    assert (answer.status_code, answer.text) == (401, "Invalid API key or bearer token")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert locked.client.get("/no/such").status_code == 401


@pytest.mark.parametrize("headers", [ALL, {"authorization": "Bearer all"}, {"authorization": "bearer all"}])
def test_both_spellings(locked, headers):
    assert locked.client.get("/collections", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "opens"),
    [
        ("GET", "/collections", None, "all read docs look"),
        ("GET", "/aliases", None, "all read docs look"),
        ("POST", "/collections/docs/points/recommend", {"positive": [1], "limit": 1}, "all read docs look"),
        ("GET", "/cluster", None, "all read docs look"),
        ("POST", "/collections/aliases", {"actions": []}, "all"),
        ("GET", "/collections/docs", None, "all read docs look"),
        ("GET", "/collections/other", None, "all read"),
        ("GET", "/collections/docs/exists", None, "all read docs look"),
        ("POST", "/collections/docs/points/query", QUERY, "all read docs look"),
        ("POST", "/collections/docs/points/query/", QUERY, "all read docs look"),
        ("POST", "/collections/other/points/query", QUERY, "all read"),
        ("POST", "/collections/docs/points/scroll", {}, "all read docs look"),
        ("POST", "/collections/docs/points", {"ids": [1]}, "all read docs look"),
        ("PUT", "/collections/docs/points", POINT, "all docs"),
        ("PUT", "/collections/other/points", POINT, "all"),
        ("POST", "/collections/docs/points/delete", {"points": [9]}, "all docs"),
        ("PUT", "/collections/new", {"vectors": {"size": 4, "distance": "Dot"}}, "all"),
        ("DELETE", "/collections/docs", None, "all"),
        ("GET", "/metrics", None, "all read"),
    ],
)
def test_what_each_key_opens(locked, method, path, body, opens):
    if path == "/collections/new":
        body = {"vectors": {"size": 4, "distance": "Dot"}}
    for name, key in {"docs": DOCS, "look": LOOK, "read": READ, "all": ALL}.items():
        expected = 200 if name in opens.split() else 403
        assert asked(locked, method, path, key, body) == expected, name


def test_a_key_of_some_collections_lists_only_those(locked):
    names = lambda key: [c["name"] for c in locked.ok("GET", "/collections", headers=key)["collections"]]  # noqa: E731
    assert names(LOOK) == ["docs"]
    assert names(READ) == ["docs", "other"]


def test_an_alias_opens_with_the_key_of_its_collection(locked, database):
    database.set_alias("alias", "docs")
    database.set_alias("elsewhere", "other")
    assert asked(locked, "GET", "/collections/alias", LOOK) == 200
    assert asked(locked, "GET", "/collections/elsewhere", LOOK) == 403
    names = lambda key: [a["alias_name"] for a in locked.ok("GET", "/aliases", headers=key)["aliases"]]  # noqa: E731
    assert names(LOOK) == ["alias"]
    assert sorted(names(READ)) == ["alias", "elsewhere"]


def test_forbidden_is_plain_text_and_says_what(locked):
    answer = locked.client.put("/collections/docs/points", headers=LOOK, json=POINT)
    assert answer.text == "Forbidden: this API key does not allow writing here"


def test_keys_are_not_logged(locked, caplog):
    caplog.set_level("DEBUG")
    locked.client.get("/collections?api-key=hush-1", headers={"api-key": "hush-2"})
    locked.client.get("/collections", headers={"authorization": "Bearer hush-3"})
    ours = [record for record in caplog.records if record.name.startswith(("pqdb", "uvicorn"))]
    assert len(ours) >= 2
    assert not any("hush" in str(vars(record)) for record in ours)


def test_the_transport_needs_no_key(database, connect):
    assert connect(database, SETTINGS)("GET", "/collections")[0] == 200


def routes() -> list[tuple[str, str]]:
    return [
        (method, route.path)
        for room in ROOMS
        for route in room.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    ]


WRITING = {
    "points/delete", "points/batch", "points/payload", "points/payload/delete", "points/payload/clear",
    "points/vectors/delete", "snapshots", "snapshots/upload", "aliases", "train", "optimize", "compact", "backup",
    "import", "replace", "upsert", "rollback", "verify",
}  # fmt: skip


@pytest.mark.parametrize(("method", "path"), routes())
def test_every_route_knows_what_it_needs(method, path):
    """A new POST must be said to read, or be known to write."""
    if path in OPEN or path.startswith(OPEN_FOLDER):
        return
    need = Need.of(method, path.replace("{collection_name}", "docs"))
    tail = path.partition("{collection_name}/")[2] or path.rpartition("/")[2]
    if method == "GET":
        assert not need.write
    elif method == "POST":
        assert (tail in READING_POSTS) != (tail in WRITING), f"is {path} for readers?"
        assert need.write == (tail in WRITING)
    else:
        assert need.write


def test_the_page_says_who_may_be_turned_away(locked):
    """By the answers to no key, and to one that opens reading of another collection."""
    page = locked("GET", "/openapi.json")[1]["paths"]
    for method, path in routes():
        told = {status for status in ("401", "403") if status in page[path][method.lower()]["responses"]}
        asked_at = path.replace("{collection_name}", "other").replace("{field_name}", "f")
        without, other = (locked.client.request(method, asked_at, headers=key) for key in ({}, LOOK))
        seen = {str(answer.status_code) for answer in (without, other)} & {"401", "403"}
        assert seen == told, (method, path)
