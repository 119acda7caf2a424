"""How much of a core background work may take: it rests between pieces of work for as long as that asks for."""

import threading
import time
from collections.abc import Callable

LONGEST_REST = 5.0  # seconds
HURRY = 0.2  # seconds
SLICE = 0.05  # seconds of a rest, after which it looks whether somebody waits


class Pace:
    """Keeps the work of one thread, on average, to a share of one core."""

    def __init__(self, share: float) -> None:
        self.share = share
        self._used = 0.0
        self._since = 0.0
        self._hurried = 0.0

    def begin(self) -> None:
        """A stretch of work begins here, in this thread."""
        self._used, self._since = time.thread_time(), time.monotonic()

    def hurry(self) -> None:
        """Somebody waits: no rest for a while."""
        self._hurried = time.monotonic() + HURRY

    def rest(self, stopping: threading.Event, wanted: Callable[[], bool] = lambda: False) -> None:
        """Rest until the work since `begin` takes its share and no more of the time since then, or until stopping or
        wanted elsewhere.
        """
        if self.share >= 1:
            return
        until = min(self._since + (time.thread_time() - self._used) / self.share, time.monotonic() + LONGEST_REST)
        while (now := time.monotonic()) < until and not stopping.is_set() and not wanted():
            if now < self._hurried:
                self.begin()
                return
            stopping.wait(min(until - now, SLICE))
