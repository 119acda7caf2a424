"""How long a collection's queries take: the quick ones are answered where they come in.

Handing work to a thread and back costs two switches of thread and lock, which is as much as a search of codes; but
what takes longer would hold up every other connection. So each query is timed, and only while those of a collection
are quick, and a query asks for nothing that may be slow, is it answered on the event loop itself.
"""

from __future__ import annotations

import re

QUICK = 0.001  # seconds
LARGEST_BODY = 256 * 1024
_MEMORY = 0.9  # how much of the average is kept with each new query
_MAY_BE_SLOW = re.compile(
    rb'"(?:exact|filter|prefetch|ignore|recommend|order_by|mmr|sample)"'
    rb'|"with_vectors?"\s*:(?!\s*(?:false|null))'
    rb'|"offset"\s*:(?!\s*(?:0\b|null))'
    rb'|"limit"\s*:(?!\s*\d{1,2}\D)'  # a hundred and more, or no number
)


class Pace:
    """The average time of the queries of each collection, in seconds."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def answers_at_once(self, collection: str, body: bytes) -> bool:
        """Whether a query with this body is likely to take less than QUICK seconds."""
        if self._seconds.get(collection, 1.0) > QUICK or len(body) > LARGEST_BODY:
            return False
        words = _around_the_vector(body)
        return b'"query"' in words and not _MAY_BE_SLOW.search(words)

    def took(self, collection: str, seconds: float) -> None:
        """One query took so long. A slow one counts at once, many quick ones make it forgotten."""
        before = self._seconds.get(collection, seconds)
        self._seconds[collection] = max(_MEMORY * before + (1 - _MEMORY) * seconds, 0.0)
        if len(self._seconds) > 10_000:  # names of collections that are gone
            self._seconds.clear()


def _around_the_vector(body: bytes) -> bytes:
    """A body without its array, where there is but one: the numbers of a vector are most of a query's bytes."""
    start = body.find(b"[")
    if start < 0 or body.find(b"[", start + 1) >= 0:
        return body
    return body[:start] + body[body.rfind(b"]") :]
