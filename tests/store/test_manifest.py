"""Manifests: given back as they were, refused where they are newer, another's, or none."""

import json

import pytest

from pqdb.errors import FormatError, NotADatabaseError
from pqdb.store import manifest
from pqdb.store.layout import seal


def test_a_manifest_comes_back() -> None:
    value = manifest.to_bytes("points", {"dim": 384, "name": "ä"}, {"row_bytes": 4})
    assert manifest.from_bytes(value, "points", "x") == ({"dim": 384, "name": "ä"}, {"row_bytes": 4})


def test_a_newer_format_is_refused_with_both_numbers() -> None:
    record = {"format": "pqdb", "version": 5, "kind": "points", "something": "new"}
    with pytest.raises(FormatError, match="version 5; this pqdb reads version 1, 2, 3 and 4:"):
        manifest.from_bytes(seal(json.dumps(record).encode()), "points", "x")


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{}",
        seal(b"not json"),
        seal(b"[]"),
        seal(b'{"format": "other", "version": 1}'),
        manifest.to_bytes("index", {}, {}),
        manifest.to_bytes("points", {}, {})[:-1],
    ],
)
def test_what_is_no_manifest_of_points_is_refused(value: bytes | None) -> None:
    with pytest.raises(NotADatabaseError, match="/some/where"):
        manifest.from_bytes(value, "points", "/some/where")
