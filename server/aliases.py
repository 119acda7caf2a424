"""The body of a change of aliases."""

from __future__ import annotations

import pqdb

from .errors import format_error, not_found, wrong_input
from .fields import Fields
from .names import check_name

_ACTIONS = ("create_alias", "delete_alias", "rename_alias")

Changes = list[tuple[str, str | None]]


def parse_changes(body: Fields, database: pqdb.Database) -> Changes:
    """The actions as pairs of an alias and the collection it is to stand for, None to forget it.

    Raises Refusal 400, 404 or 422.
    """
    body.only(("actions",))
    now = database.aliases()
    changes: Changes = []
    for i, value in enumerate(body.array("actions")):
        action = Fields.of(value, f"actions[{i}]").only(_ACTIONS)
        if len(action.value) != 1:
            raise format_error(f"{action.place}: expected one of {', '.join(f'`{name}`' for name in _ACTIONS)}")
        made = _pairs(action, now, database)
        for alias, name in made:
            now = {known: held for known, held in now.items() if known != alias} | ({alias: name} if name else {})
        changes += made
    return changes


def _pairs(action: Fields, now: dict[str, str], database: pqdb.Database) -> Changes:
    """One action, given the aliases there are before it."""
    if (create := action.fields("create_alias")) is not None:
        name, alias = _words(create, "collection_name", "alias_name")
        check_name(alias)
        if name not in database.collections():
            raise not_found(f"Collection `{name}` doesn't exist!")
        if alias in database.collections():
            raise wrong_input(f"Collection `{alias}` already exists!")
        return [(alias, name)]
    if (delete := action.fields("delete_alias")) is not None:
        (alias,) = _words(delete, "alias_name")
        return [(alias, None)] if alias in now else []
    old, new = _words(Fields.of(action.get("rename_alias"), action.place), "old_alias_name", "new_alias_name")
    check_name(new)
    if old not in now:
        raise not_found(f"Alias {old} does not exists!")
    return [(old, None), (new, now[old])]


def _words(fields: Fields, *keys: str) -> list[str]:
    fields.only(keys)
    for key in keys:
        fields.required(key)
    return [fields.text(key) for key in keys]
