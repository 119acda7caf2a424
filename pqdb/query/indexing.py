"""Payload indexes made and dropped, each in one commit with all of its entries."""

from dataclasses import replace

from pqdb.errors import InputError
from pqdb.query.definitions import Definition, check_kind, definitions, deriver, new_table, with_definitions
from pqdb.query.path import parse_path
from pqdb.query.text import EVERY_WORD, TOKENIZERS, Counting
from pqdb.store.points import PointStore

TENANT_KINDS = ("keyword", "integer", "uuid")


def create_index(
    points: PointStore, key: str, kind: str, is_tenant: bool = False, counting: Counting = EVERY_WORD
) -> bool:
    """Index what lies at a key of every payload, now and from now on; returns whether it was not indexed so before.

    Writers wait meanwhile. Raises FilterError for a malformed key, InputError for an unknown kind and for one that
    tenants or words cannot have.
    """
    path, known = parse_path(key), check_kind(kind)
    if is_tenant and known not in TENANT_KINDS:
        raise InputError(f"is_tenant is for an index of kind {' or '.join(TENANT_KINDS)}, not {known}")
    _check_counting(counting, known)
    points.provide_tables()
    with points.write() as batch:
        with points.read() as view:
            manifest = view.manifest
            batch.expect(view.seq)
        held = definitions(manifest)
        there = next((index for index in held if (index.path, index.kind) == (path, known)), None)
        if there is not None and there.counting.tokenizer == counting.tokenizer:
            now = replace(there, is_tenant=is_tenant, counting=counting)
            if now != there:
                batch.set_manifest(with_definitions(manifest, tuple(now if each is there else each for each in held)))
            return False
        others = tuple(index for index in held if index is not there)
        made = Definition(path, known, new_table(others, held), is_tenant, counting)
        batch.set_manifest(with_definitions(manifest, (*others, made)), tables=True)
        batch.fill_table(deriver((made,)))
        if there is not None:  # it holds the words of another tokenizer
            batch.drop_table(there.table)
    return True


def drop_index(points: PointStore, key: str, kind: str | None = None) -> bool:
    """Drop every index on a key, or that of a kind; returns whether there was one. Raises FilterError for a malformed
    key, InputError for an unknown kind.
    """
    path, known = parse_path(key), None if kind is None else check_kind(kind)
    with points.write() as batch:
        with points.read() as view:
            manifest = view.manifest
            batch.expect(view.seq)
        held = definitions(manifest)
        going = [index for index in held if index.path == path and known in (None, index.kind)]
        if not going:
            return False
        batch.set_manifest(with_definitions(manifest, tuple(index for index in held if index not in going)))
        for index in going:
            batch.drop_table(index.table)
    return True


def _check_counting(counting: Counting, kind: str) -> None:
    if counting != EVERY_WORD and kind != "text":
        raise InputError(f"min_token_len, max_token_len and tokenizer are for an index of kind text, not {kind}")
    if counting.tokenizer not in TOKENIZERS:
        raise InputError(f"tokenizer={counting.tokenizer!r} is not one of {', '.join(TOKENIZERS)}")
    for name, length in (("min_token_len", counting.least), ("max_token_len", counting.most)):
        if length is not None and (type(length) is not int or length < 0):
            raise InputError(f"{name} is a number of characters, 0 or more, not {length!r}")
    if counting.least is not None and counting.most is not None and counting.least > counting.most:
        raise InputError(f"no word has {counting.least} characters at least and {counting.most} at most")
