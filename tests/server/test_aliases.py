"""Aliases: second names, moved all together or not at all; by the official client too."""

import pytest
from qdrant_client import QdrantClient, models

COLLECTION = {"vectors": {"size": 4, "distance": "Dot"}}


def create(alias: str, name: str) -> dict:
    return {"create_alias": {"collection_name": name, "alias_name": alias}}


def delete(alias: str) -> dict:
    return {"delete_alias": {"alias_name": alias}}


def rename(old: str, new: str) -> dict:
    return {"rename_alias": {"old_alias_name": old, "new_alias_name": new}}


def change(http, *actions: dict) -> None:
    assert http.ok("POST", "/collections/aliases", {"actions": list(actions)}) is True


def aliases(http, path: str = "/aliases") -> dict[str, str]:
    return {found["alias_name"]: found["collection_name"] for found in http.ok("GET", path)["aliases"]}


@pytest.fixture
def two(docs):
    docs.ok("PUT", "/collections/next", COLLECTION)
    return docs


def test_an_alias_answers_like_its_collection(two):
    change(two, create("live", "docs"))
    assert two.ok("POST", "/collections/live/points/count", {}) == {"count": 3}
    assert two.ok("GET", "/collections/live/exists") == {"exists": True}
    assert two.ok("GET", "/collections")["collections"] == [{"name": "docs"}, {"name": "next"}]
    change(two, delete("live"), create("live", "next"))
    assert two.ok("POST", "/collections/live/points/count", {}) == {"count": 0}
    assert aliases(two) == {"live": "next"}


def test_actions_see_those_before_them(two):
    change(two, create("a", "docs"), rename("a", "b"), create("a", "next"), rename("b", "c"))
    assert aliases(two) == {"a": "next", "c": "docs"}
    assert aliases(two, "/collections/docs/aliases") == {"c": "docs"}
    assert aliases(two, "/collections/c/aliases") == {"c": "docs"}


@pytest.mark.parametrize(
    ("actions", "status", "words"),
    [
        ([create("x", "docs"), create("y", "none")], 404, "Collection `none` doesn't exist!"),
        ([create("x", "docs"), create("next", "docs")], 400, "Collection `next` already exists!"),
        ([create("x", "docs"), rename("none", "y")], 404, "Alias none does not exists!"),
        ([create("x", "docs"), create("a/b", "docs")], 422, "cannot contain"),
        ([create("x", "docs"), {}], 400, "actions[1]: expected one of"),
        ([create("x", "docs"), {"move_alias": {}}], 400, "unknown field `move_alias`"),
        ([create("x", "docs"), {"delete_alias": {}}], 400, "missing field `alias_name`"),
    ],
)
def test_one_bad_action_spoils_all(two, actions, status, words):
    got, text = two.error("POST", "/collections/aliases", {"actions": actions})
    assert (got, words in text) == (status, True), text
    assert aliases(two) == {}


def test_deleting_an_alias_that_is_not_there_is_no_error(two):
    change(two, delete("none"))


def test_dropping_a_collection_takes_its_aliases(two):
    change(two, create("live", "docs"), create("other", "next"))
    two.ok("DELETE", "/collections/docs")
    assert aliases(two) == {"other": "next"}


def test_by_the_official_client(url, http):
    client = QdrantClient(url=url, timeout=60)
    for name in ("docs", "next"):
        client.create_collection(name, models.VectorParams(size=4, distance=models.Distance.DOT))
    operation = models.CreateAliasOperation(
        create_alias=models.CreateAlias(collection_name="docs", alias_name="live")
    )
    assert client.update_collection_aliases([operation])
    assert client.get_aliases().aliases == [models.AliasDescription(alias_name="live", collection_name="docs")]
    assert len(client.get_collection_aliases("docs").aliases) == 1
    assert client.collection_exists("live")
    client.close()
