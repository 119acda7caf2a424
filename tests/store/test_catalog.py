"""The catalog: names, aliases, and noticing that somebody changed them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pqdb.errors import ClosedError, CollectionExistsError, CollectionNotFoundError, InputError, ReadOnlyError
from pqdb.store import Catalog


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.create(tmp_path / "catalog") as made:
        with made.write() as batch:
            batch.add("docs", {"uuid": "1"})
        yield made


def test_names_come_back(catalog: Catalog) -> None:
    with catalog.write() as batch:
        batch.add("ä/…", {"uuid": "2", "more": [1, None]})
        assert batch.get("docs") == {"uuid": "1"}
        batch.replace("docs", {"uuid": "3"})
    with Catalog.open(catalog.path) as again:
        assert again.names().collections == {"docs": {"uuid": "3"}, "ä/…": {"uuid": "2", "more": [1, None]}}
        assert again.names().find("docs") == {"uuid": "3"}
        assert again.names().find("none") is None
        assert again.verify() == []


def test_unchanged_names_are_the_same_object(catalog: Catalog) -> None:
    names, txn_id = catalog.names(), catalog.txn_id()
    assert catalog.names() is names
    with Catalog.open(catalog.path) as other, other.write() as batch:
        batch.add("more", {})
    assert catalog.txn_id() > txn_id
    assert set(catalog.names().collections) == {"docs", "more"}
    assert set(names.collections) == {"docs"}


def test_aliases_follow_their_collection(catalog: Catalog) -> None:
    with catalog.write() as batch:
        batch.set_alias("d", "docs")
        batch.rename("docs", "documents")
    assert catalog.names().aliases == {"d": "documents"}
    assert catalog.names().find("d") == {"uuid": "1"}
    assert catalog.names().find("docs") is None
    with catalog.write() as batch:
        batch.add("docs", {"uuid": "2"})
        batch.set_alias("d", "docs")
    assert catalog.names().find("d") == {"uuid": "2"}
    with catalog.write() as batch:
        assert batch.remove("docs") == {"uuid": "2"}
        assert batch.remove("docs") is None
        assert not batch.remove_alias("d")
    assert (set(catalog.names().collections), dict(catalog.names().aliases)) == ({"documents"}, {})


def test_what_is_taken_or_missing_is_refused_and_changes_nothing(catalog: Catalog) -> None:
    with catalog.write() as batch:
        batch.set_alias("alias", "docs")
    before = catalog.txn_id()
    exists, missing = CollectionExistsError, CollectionNotFoundError
    for error, says, verb, arguments in (
        (exists, "collection 'docs' already", "add", ("docs", {})),
        (exists, "'alias' is an alias already", "add", ("alias", {})),
        (exists, "another name", "set_alias", ("docs", "docs")),
        (exists, "'docs' already", "rename", ("docs", "docs")),
        (missing, "no collection 'none'", "set_alias", ("x", "none")),
        (missing, "no collection 'none'", "replace", ("none", {})),
        (missing, "no collection 'none'", "rename", ("none", "x")),
        (InputError, "not 0", "add", ("", {})),
        (InputError, "not 501", "add", ("x" * 501, {})),
    ):
        batch = catalog.write().__enter__()
        batch.add("half", {})
        with pytest.raises(error, match=says) as caught:
            getattr(batch, verb)(*arguments)
        batch.__exit__(caught.type, caught.value, caught.tb)
    assert catalog.txn_id() == before


def test_a_closed_or_read_only_catalog_refuses(catalog: Catalog) -> None:
    with Catalog.open(catalog.path, readonly=True) as reader:
        assert set(reader.names().collections) == {"docs"}
        with pytest.raises(ReadOnlyError, match="read-only"):
            reader.write()
    for refused in (reader.names, reader.write):
        with pytest.raises(ClosedError, match="is closed"):
            refused()
