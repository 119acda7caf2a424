"""How much memory work may take, and what that makes of samples, parts and commits.

A limit is on the growth of the process's anonymous memory since before the database was opened. Pages of the database's
own files are not in it: the kernel takes them back when it likes.
"""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from pqdb.allocator import give_back, keep_freed, return_early
from pqdb.errors import InputError

BASE = 96 << 20  # kernels, LMDB's and numpy's own, thread stacks, what the allocator keeps back [M]
LEAST_ROWS = 2_048  # fewer vectors teach nothing
COPIES = 9  # of a sample, at the height of training [M]
UPSERT_COPIES, UPSERT_ROW = 4, 400  # of a point to be written, and bytes beside: its id, key and record [M]
ROW = 32  # bytes a row of the collection takes while a generation is built: its list, its place in their order

_UNITS = {"": 1, "b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


class Memory:
    """A limit in bytes, or none. The pieces of work that come near it take turns."""

    def __init__(self, limit: int | str | None = None) -> None:
        """limit: bytes, or text such as "512MB" (of 1024 × 1024 bytes). Raises InputError for what is neither, and for
        less than any work takes.
        """
        self.limit = None if limit is None else _bytes(limit)
        self._turn = threading.Lock()
        if self.limit is not None and self.limit <= BASE:
            raise InputError(
                f"memory_limit={self.limit:,} bytes is too small: kernels and handles alone take {BASE:,}"
            )
        return_early()

    def check(self, dim: int) -> None:
        """Raise InputError where vectors of so many dimensions cannot be learned from within the limit."""
        needed = BASE + LEAST_ROWS * COPIES * 4 * dim
        if self.limit is not None and self.limit < needed:
            raise InputError(
                f"memory_limit={self.limit:,} bytes is too small for {dim:,} dimensions: training looks at "
                f"{LEAST_ROWS:,} vectors at least, which takes {needed:,}"
            )

    def check_upsert(self, count: int, dim: int) -> None:
        """Raise InputError where so many points in one commit would not fit: what is prepared of them, their source
        rows and their pages, beside the vectors given.
        """
        most = self.rows(count, UPSERT_COPIES * 4 * dim + UPSERT_ROW)
        if count > most:
            raise InputError(
                f"memory_limit={self.limit or 0:,} bytes leaves room for at most {most:,} points at once, not {count:,}"
            )

    def rows(self, usual: int, row_bytes: float, collection: int = 0, share: float = 1.0) -> int:
        """How many rows to take at once: `usual`, or as many as fit a share of what is left.

        row_bytes: what one takes, with all its copies. collection: rows of the collection, where work holds some bytes
        of each of them; raises InputError where these alone are too much.
        """
        if self.limit is None:
            return usual
        left = self.limit - BASE - ROW * collection
        if left <= 0:
            raise InputError(
                f"memory_limit={self.limit:,} bytes is too small for {collection:,} rows: they take {ROW} bytes each "
                f"while they are indexed, beside {BASE:,} for kernels and handles"
            )
        return max(1, min(usual, int(share * left / row_bytes)))

    def bytes(self, usual: int, copies: float) -> int:
        """How many bytes to hold at once of what is copied so often."""
        return self.rows(usual, copies)

    def at_hand(self) -> AbstractContextManager[None]:
        """For work on many arrays, one after another: without a limit, what one leaves is kept for the next."""
        return keep_freed() if self.limit is None else nullcontext()

    @contextmanager
    def turn(self, give_up: Callable[[], bool]) -> Iterator[bool]:
        """Alone with the memory, where there is a limit; what is no longer used goes back at the end.

        give_up, asked now and then while another's turn lasts, says whether to go without; then False comes.
        """
        if self.limit is None:
            yield True
            return
        while not self._turn.acquire(timeout=0.05):
            if give_up():
                yield False
                return
        try:
            yield True
        finally:
            give_back()
            self._turn.release()


def _bytes(limit: int | str) -> int:
    if isinstance(limit, int) and not isinstance(limit, bool):
        return limit
    match = re.fullmatch(r"\s*([\d_]+(?:\.\d+)?)\s*([a-z]*)\s*", str(limit), re.IGNORECASE)
    if not isinstance(limit, str) or match is None or match[2].lower() not in _UNITS:
        raise InputError(f'memory_limit={limit!r} is neither a number of bytes nor text such as "512MB"')
    return int(float(match[1]) * _UNITS[match[2].lower()])
