"""Payload indexes made and dropped, each in one commit with all of its entries."""

from dataclasses import replace

from pqdb.errors import InputError
from pqdb.query.definitions import Definition, check_kind, definitions, deriver, new_table, with_definitions
from pqdb.query.path import parse_path
from pqdb.query.text import ANY_LENGTH, Lengths
from pqdb.store.points import PointStore

TENANT_KINDS = ("keyword", "integer", "uuid")


def create_index(
    points: PointStore, key: str, kind: str, is_tenant: bool = False, lengths: Lengths = ANY_LENGTH
) -> bool:
    """Index what lies at a key of every payload, now and from now on; returns whether it was not indexed so before.

    Writers wait meanwhile. Raises FilterError for a malformed key, InputError for an unknown kind and for one that
    tenants or words cannot have.
    """
    path, known = parse_path(key), check_kind(kind)
    if is_tenant and known not in TENANT_KINDS:
        raise InputError(f"is_tenant is for an index of kind {' or '.join(TENANT_KINDS)}, not {known}")
    _check_lengths(lengths, known)
    points.provide_tables()
    with points.write() as batch:
        with points.read() as view:
            manifest = view.manifest
            batch.expect(view.seq)
        held = definitions(manifest)
        there = next((index for index in held if (index.path, index.kind) == (path, known)), None)
        if there is not None:
            now = replace(there, is_tenant=is_tenant, lengths=lengths)
            if now != there:
                batch.set_manifest(with_definitions(manifest, tuple(now if each is there else each for each in held)))
            return False
        made = Definition(path, known, new_table(held), is_tenant, lengths)
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


def _check_lengths(lengths: Lengths, kind: str) -> None:
    if lengths != ANY_LENGTH and kind != "text":
        raise InputError(f"min_token_len and max_token_len are for an index of kind text, not {kind}")
    for name, length in (("min_token_len", lengths.least), ("max_token_len", lengths.most)):
        if length is not None and (type(length) is not int or length < 0):
            raise InputError(f"{name} is a number of characters, 0 or more, not {length!r}")
    if lengths.least is not None and lengths.most is not None and lengths.least > lengths.most:
        raise InputError(f"no word has {lengths.least} characters at least and {lengths.most} at most")
