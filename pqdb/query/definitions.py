"""Which payload indexes a collection has: a list in its manifest."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pqdb.errors import FormatError, InputError
from pqdb.query.entries import KINDS, Kind, keys_of
from pqdb.query.path import Path, parse_path
from pqdb.query.text import EVERY_WORD, TOKENIZERS, Counting

IN_MANIFEST = "indexes"
MAX_INDEXES = 1_000

Entry = tuple[int, bytes | int]  # as the store takes them: table, key


@dataclass(frozen=True, slots=True)
class Definition:
    """One index: the path it covers, what it takes there, and the table it lies in."""

    path: Path
    kind: Kind
    table: int
    is_tenant: bool = False  # it parts the points, and a filter names one part: see tenants.py
    counting: Counting = EVERY_WORD  # of kind text: which words count; those of other lengths it holds as well

    def to_dict(self) -> dict[str, Any]:
        """As JSON for the manifest. Words of another tokenizer are a kind of their own there: a version that knows none
        would go on filling the table with words of the usual one.
        """
        said = {**self.described(), "table": self.table}
        cut = said.pop("tokenizer", None)
        return said if cut is None else {**said, "kind": f"{self.kind}:{cut}"}

    def described(self) -> dict[str, Any]:
        """As `info()` tells it."""
        more = {
            "is_tenant": self.is_tenant or None,
            "min_token_len": self.counting.least,
            "max_token_len": self.counting.most,
            "tokenizer": None if self.counting.tokenizer == "word" else self.counting.tokenizer,
        }
        said = {name: value for name, value in more.items() if value is not None}
        return {"key": self.path.text, "kind": self.kind, **said}


def check_kind(kind: object) -> Kind:
    """The kind of this name; raises InputError naming the known ones."""
    for known in KINDS:
        if kind == known:
            return known
    raise InputError(f"a payload index is one of {', '.join(KINDS)}, not {kind!r}")


def definitions(manifest: Mapping[str, Any]) -> tuple[Definition, ...]:
    """The indexes of a collection. Raises FormatError for a kind this version does not know."""
    found = []
    for record in manifest.get(IN_MANIFEST, ()):
        kind, _, cut = record["kind"].partition(":")
        tokenizer = cut or "word"
        if kind not in KINDS or tokenizer not in TOKENIZERS:
            raise FormatError(f"this version of pqdb does not know the payload index {record['kind']!r}")
        counting = Counting(record.get("min_token_len"), record.get("max_token_len"), tokenizer)
        is_tenant = record.get("is_tenant", False)
        found.append(Definition(parse_path(record["key"]), kind, record["table"], is_tenant, counting))
    return tuple(found)


def counted(held: tuple[Definition, ...]) -> dict[Path, Counting]:
    """Which words count where, for `conditions.within`."""
    return {index.path: index.counting for index in held if index.counting != EVERY_WORD}


def with_definitions(manifest: Mapping[str, Any], held: tuple[Definition, ...]) -> dict[str, Any]:
    """A manifest with these indexes in place of its own."""
    return {**manifest, IN_MANIFEST: [definition.to_dict() for definition in held]}


def new_table(kept: tuple[Definition, ...], held: tuple[Definition, ...]) -> int:
    """The smallest number that none of the indexes held has. Raises InputError where too many of them are kept."""
    if len(kept) >= MAX_INDEXES:
        raise InputError(f"a collection has at most {MAX_INDEXES:,} payload indexes")
    taken = {definition.table for definition in held}
    return next(number for number in range(1, MAX_INDEXES + 2) if number not in taken)


def deriver(held: tuple[Definition, ...]) -> Callable[[bytes], frozenset[Entry]]:
    """What a payload (JSON) puts into these indexes."""

    def derive(raw: bytes) -> frozenset[Entry]:
        payload = json.loads(raw)
        return frozenset(
            (definition.table, key)
            for definition in held
            if (values := definition.path.values(payload))
            for key in keys_of(definition.kind, values, definition.counting)
        )

    return derive


def maker(manifest: Mapping[str, Any]) -> Callable[[bytes], frozenset[Entry]] | None:
    """What a store derives from payloads by its manifest; None: nothing."""
    held = definitions(manifest)
    return deriver(held) if held else None
