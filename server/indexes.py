"""Payload indexes on the wire: the many forms of their schemas, and what needs an index."""

from __future__ import annotations

from typing import Any

import pqdb

from .errors import Refusal, format_error, not_yet, wrong_input
from .fields import Fields, kind_of
from .names import WIRE_KEY, Metadata, noted
from .selectors import parse_path

KINDS = ("keyword", "integer", "float", "geo", "text", "bool", "datetime", "uuid")
SCHEMAS = "payload_schema"  # under WIRE_KEY: what was sent for each key, for GET to echo

_ORDERED = ("integer", "float", "datetime")
_COUNTED = ("keyword", "integer", "uuid", "bool")
# Knobs that change how fast an index is, not what it finds.
_FREE = ("on_disk", "memory", "is_principal", "lookup", "range", "prefix", "enable_hnsw")
_LENGTHS = ("min_token_len", "max_token_len")  # of the words that a text index counts
# Other knobs of the text index that change what it finds: taken where they say what ours does.
_TEXT = {
    "tokenizer": (None, "word", "multilingual"),
    "lowercase": (None, True),
    "phrase_matching": (None, False, True),
    "stopwords": (None,),
    "stemmer": (None,),
    "ascii_folding": (None, False),
}

Schema = dict[str, Any]


def parse_index(body: Fields) -> tuple[str, str, Schema]:
    """`{"field_name", "field_schema"}` → key, kind, and the schema to give back. Raises Refusal 400."""
    body.only(("field_name", "field_schema", "field_type"))
    body.required("field_name")
    key = body.text("field_name")
    parse_path(key)
    sent = body.get("field_schema") if body.get("field_schema") is not None else body.get("field_type")
    if sent is None:
        raise format_error("missing field `field_schema`: a kind of index, such as \"keyword\"")
    if isinstance(sent, str):
        kind = body.variant("field_schema" if body.get("field_schema") is not None else "field_type", KINDS) or ""
        return key, kind, {"data_type": kind}
    if not isinstance(sent, dict):
        raise format_error(f"field_schema: expected a kind or an object, not {kind_of(sent)}")
    fields = Fields(sent, "field_schema")
    fields.required("type")
    kind = fields.variant("type", KINDS) or ""
    fields.only(("type", "is_tenant", *_FREE, *((*_TEXT, *_LENGTHS) if kind == "text" else ())))
    fields.boolean("is_tenant")
    for knob in _LENGTHS:
        fields.unsigned(knob, 0)
    for knob, offered in _TEXT.items():
        if fields.get(knob) not in offered:
            raise not_yet(f"text indexes with `{knob}` {fields.get(knob)!r}")
    return key, kind, {"data_type": kind, "params": {name: value for name, value in sent.items() if value is not None}}


def create(database: pqdb.Database, collection: pqdb.Collection, key: str, kind: str, schema: Schema) -> None:
    """Make the index. One of the same kind that is there is no error; one of another kind is replaced.

    Raises InputError for tenants of a kind that cannot name them, and for lengths that no word has.
    """
    params = schema.get("params", {})
    words = {knob: params[knob] for knob in (*_LENGTHS, "tokenizer") if knob in params}
    collection.create_payload_index(key, kind, is_tenant=bool(params.get("is_tenant")), **words)
    for held in collection.payload_indexes:
        if held["key"] == key and held["kind"] != kind:
            collection.drop_payload_index(key, held["kind"])
    _note(database, collection, key, schema)


def drop(database: pqdb.Database, collection: pqdb.Collection, key: str) -> None:
    """Drop the index on a key, where there is one."""
    if collection.drop_payload_index(key):
        _note(database, collection, key, None)


def described(info: dict[str, Any], schemas: dict[str, Schema]) -> dict[str, Any]:
    """`payload_schema` of a collection: key → kind, parameters as they were sent, number of points."""
    found = {}
    for held in info["payload_indexes"]:
        if held["key"] == WIRE_KEY:  # our own: see bare.py
            continue
        sent = schemas.get(held["key"], {})
        same = sent if sent.get("data_type") == held["kind"] else {"data_type": held["kind"]}
        found[held["key"]] = {**same, "points": info["points"]}
    return found


def check_ordered(collection: pqdb.Collection, order_by: object) -> None:
    """Refuse an order without an index that has one, as Qdrant does. Raises Refusal 400."""
    key = order_by.get("key") if isinstance(order_by, dict) else order_by
    if not isinstance(key, str):
        raise format_error("order_by: expected a payload key or an object with one")
    _require(collection, key, _ORDERED, "range index for `order_by`")


def check_counted(collection: pqdb.Collection, key: str) -> None:
    """Refuse a facet without an index of values, as Qdrant does. Raises Refusal 400."""
    _require(collection, key, _COUNTED, "map index for `facet`")


def _require(collection: pqdb.Collection, key: str, kinds: tuple[str, ...], what: str) -> None:
    held = collection.payload_indexes
    if not any(index["key"] == key and index["kind"] in kinds for index in held):
        raise _missing(key, kinds, what)


def _missing(key: str, kinds: tuple[str, ...], what: str) -> Refusal:
    return wrong_input(f"No {what} on key `{key}`: create a payload index of it, one of {', '.join(kinds)}")


def _note(database: pqdb.Database, collection: pqdb.Collection, key: str, schema: Schema | None) -> None:
    """Keep what was sent, among what else is kept to be given back."""

    def change(held: Metadata | None) -> Metadata:
        sent = (held or {}).get(WIRE_KEY, {}).get(SCHEMAS, {})
        others = {name: each for name, each in sent.items() if name != key}
        return noted(held, **{SCHEMAS: others if schema is None else {**others, key: schema}})

    database.change_metadata(collection.name, change)
