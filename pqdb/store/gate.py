"""The gate to an environment's map: a reader of this process that goes in costs a dictionary entry, and whoever maps
the file anew closes the gate and waits until all are out.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pqdb.errors import ClosedError, ForkedError, StorageError

DRAIN_SECONDS = 60.0
_GLANCE_SECONDS = 0.0002


class Gate:
    """Who is inside, and whether anyone may come in.

    Who goes in writes itself into `inside`, and then sees whether it is `shut`: if so it has to `wait`. (No call for
    the many that find it open.)
    """

    def __init__(self, path: Path) -> None:
        self.inside: dict[object, int] = {}  # reader → its thread
        self.shut: Literal["for a while", "closed", "forked"] | None = None
        self._path = path
        self._turn = threading.Condition()

    def wait(self, reader: object) -> None:
        """Stand back until the gate is open again, and go in. Raises as refuse_if_shut does."""
        me = self.inside.pop(reader)
        with self._turn:
            while self.shut == "for a while" and not self.holds(me):
                # (a thread that is inside already may nest: the gate waits for it anyway)
                self._turn.wait()
            self.refuse_if_shut()
            self.inside[reader] = me

    def holds(self, thread: int) -> int:
        """How many readers of a thread are inside."""
        return list(self.inside.values()).count(thread)

    def refuse_if_shut(self) -> None:
        """Raise ClosedError or ForkedError where nobody may come in any more."""
        if self.shut == "closed":
            raise ClosedError(f"{self._path} is closed")
        if self.shut == "forked":
            raise ForkedError(f"{self._path} was opened before a fork; open it again in this process")

    @contextmanager
    def emptied(self, what: str) -> Iterator[None]:
        """Closed, and nobody inside. Raises StorageError where this thread is, or others do not leave; it says what was
        to be done.
        """
        with self._closed():
            deadline = time.monotonic() + DRAIN_SECONDS
            while self.inside:
                if self.holds(threading.get_ident()):
                    raise StorageError(
                        f"{self._path} cannot be {what}: this thread is reading a snapshot of it"
                    )
                if time.monotonic() > deadline:
                    raise StorageError(
                        f"{self._path} cannot be {what}: {len(self.inside)} snapshots of it are still being read after "
                        f"{DRAIN_SECONDS:.0f} seconds"
                    )
                time.sleep(_GLANCE_SECONDS)
            yield

    @contextmanager
    def _closed(self) -> Iterator[None]:
        with self._turn:  # under the lock: nobody may be stepping through right now
            self.refuse_if_shut()
            self.shut = "for a while"
        try:
            yield
        finally:
            with self._turn:
                if self.shut == "for a while":
                    self.shut = None
                self._turn.notify_all()
