"""Who may do what: API keys, what each opens, and what a request asks to be opened."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from .settings import Settings

# Everybody may see these: who answers, whether it is well, and pages that hold no data.
OPEN = frozenset({"/", "/healthz", "/livez", "/readyz", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"})
OPEN_FOLDER = "/dashboard"

_READS = ("GET", "HEAD", "OPTIONS")
# Operations asked by POST that change nothing, by what follows the collection's name.
READING_POSTS = frozenset({
    "points", "points/scroll", "points/count", "points/query", "points/query/batch", "points/query/groups",
    "points/search", "points/search/batch", "points/search/groups", "points/recommend", "points/recommend/batch",
    "points/recommend/groups", "points/discover", "points/discover/batch", "points/search/matrix/pairs",
    "points/search/matrix/offsets", "facet",
    "explain", "recall", "tune", "query", "export", "embed",
})  # fmt: skip
_FOR_ALL = (["collections"], ["aliases"], ["cluster"])  # what they name is what a key opens
_NATIVE = ["pqdb", "v1"]


@dataclass(frozen=True)
class Access:
    """What a key opens."""

    writes: bool
    collections: frozenset[str] | None  # None: all, and the database itself

    def knows(self, name: str) -> bool:
        """Whether a collection may be named to its owner."""
        return self.collections is None or name in self.collections

    def allows(self, need: Need, real_name: str | None) -> bool:
        """Whether a request may pass; `real_name` is the collection's own name where the path has an alias."""
        if need.write and not self.writes:
            return False
        if self.collections is None:
            return True
        if need.manage or need.collection is None:
            return not need.manage
        return need.collection in self.collections or real_name in self.collections


EVERYTHING = Access(writes=True, collections=None)


@dataclass(frozen=True)
class Need:
    """What a request asks to be opened."""

    write: bool
    collection: str | None  # None: no one collection's
    manage: bool  # makes, drops or reconfigures collections, or concerns several

    @classmethod
    def of(cls, method: str, path: str) -> Need:
        """Read off a request's method and decoded path; what is not known to read is taken for a write."""
        parts = path.split("/")[1:]
        native = parts[:2] == _NATIVE
        if native:
            parts = parts[2:]
        ours = native and parts[:1] in (["capabilities"], ["jobs"])
        if parts == ["embed"] or (method in _READS and (parts in _FOR_ALL or ours)):
            return cls(write=False, collection=None, manage=False)  # names a key opens; ids nobody can guess
        if len(parts) < 2 or parts[0] != "collections" or (parts[1] == "aliases" and len(parts) == 2):
            return cls(write=method not in _READS, collection=None, manage=True)
        tail = "/".join(parts[2:])
        reads = method in _READS or (method == "POST" and tail in READING_POSTS)
        manage = not reads and (not tail or tail.startswith(("snapshots", "cluster")))
        return cls(write=not reads, collection=parts[1], manage=manage)


class Keys:
    """The keys of a service, kept as digests only."""

    def __init__(self, settings: Settings | None) -> None:
        self._known: list[tuple[bytes, Access]] = []
        if settings is None:
            return
        if settings.api_key:
            self._add(settings.api_key.get_secret_value(), EVERYTHING)
        if settings.read_only_api_key:
            self._add(settings.read_only_api_key.get_secret_value(), Access(writes=False, collections=None))
        for scoped in settings.api_keys:
            access = Access(scoped.access == "full", frozenset(scoped.collections))
            self._add(scoped.key.get_secret_value(), access)

    def __bool__(self) -> bool:
        return bool(self._known)

    def access(self, key: bytes) -> Access | None:
        """What a key opens, None for an unknown one; takes as long for every key of a length."""
        digest = hashlib.sha256(key).digest()
        found: Access | None = None
        for known, access in self._known:  # all of them, whichever fits
            if hmac.compare_digest(known, digest):
                found = access
        return found

    def _add(self, key: str, access: Access) -> None:
        self._known.append((hashlib.sha256(key.encode()).digest(), access))


def shown_key(headers: list[tuple[bytes, bytes]]) -> bytes | None:
    """The key a request shows: `api-key: K`, or `authorization: Bearer K`."""
    bearer = None
    for name, value in headers:
        if name == b"api-key":
            return value
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            bearer = value[7:].strip()
    return bearer
