"""Payload indexes made and dropped, each in one commit with all of its entries."""

from pqdb.query.definitions import Definition, check_kind, definitions, deriver, new_table, with_definitions
from pqdb.query.path import parse_path
from pqdb.store.points import PointStore


def create_index(points: PointStore, key: str, kind: str) -> bool:
    """Index what lies at a key of every payload, now and from now on; returns whether it was not indexed so before.

    Writers wait meanwhile. Raises FilterError for a malformed key, InputError for an unknown kind.
    """
    path, known = parse_path(key), check_kind(kind)
    points.provide_tables()
    with points.write() as batch:
        with points.read() as view:
            manifest = view.manifest
            batch.expect(view.seq)
        held = definitions(manifest)
        if any((index.path, index.kind) == (path, known) for index in held):
            return False
        made = Definition(path, known, new_table(held))
        batch.set_manifest(with_definitions(manifest, (*held, made)), tables=True)
        batch.fill_table(deriver((made,)))
    return True


def drop_index(points: PointStore, key: str) -> bool:
    """Drop every index on a key; returns whether there was one. Raises FilterError for a malformed key."""
    path = parse_path(key)
    with points.write() as batch:
        with points.read() as view:
            manifest = view.manifest
            batch.expect(view.seq)
        held = definitions(manifest)
        going = [index for index in held if index.path == path]
        if not going:
            return False
        batch.set_manifest(with_definitions(manifest, tuple(index for index in held if index not in going)))
        for index in going:
            batch.drop_table(index.table)
    return True
