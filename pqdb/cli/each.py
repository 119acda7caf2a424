"""One collection of a database, or all of them."""

from collections.abc import Callable
from contextlib import suppress

import pqdb


def for_each(db: pqdb.Database, collection: str | None, work: Callable[[pqdb.Collection], None]) -> None:
    """Do some work on a collection; without one, on all but those that others drop meanwhile."""
    if collection is not None:
        work(db[collection])
        return
    for name in db.collections():
        with suppress(pqdb.CollectionNotFoundError, pqdb.ClosedError):
            work(db[name])
