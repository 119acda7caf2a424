"""Aliases."""

from __future__ import annotations

from pydantic import BaseModel

from .words import Strict


class CreateAlias(Strict):
    """Let an alias stand for a collection, whatever it stood for."""

    collection_name: str
    alias_name: str


class DeleteAlias(Strict):
    """Forget an alias."""

    alias_name: str


class RenameAlias(Strict):
    """Give an alias another name."""

    old_alias_name: str
    new_alias_name: str


class AliasAction(Strict):
    """One of the three."""

    create_alias: CreateAlias | None = None
    delete_alias: DeleteAlias | None = None
    rename_alias: RenameAlias | None = None


class ChangeAliases(Strict):
    """Actions, done in their order in one commit."""

    actions: list[AliasAction]


class AliasDescription(BaseModel):
    """An alias and what it stands for."""

    alias_name: str
    collection_name: str


class AliasList(BaseModel):
    """Aliases."""

    aliases: list[AliasDescription]
