"""How busy the service is: what is in flight, and since when nothing is."""

from __future__ import annotations

import threading
from time import monotonic


class Activity:
    """Counts requests in flight. Begun and ended on the event loop, read by background threads."""

    def __init__(self) -> None:
        self.running = 0
        self._since = monotonic()
        self._lock = threading.Lock()

    def begin(self) -> None:
        """A request has come in."""
        with self._lock:
            self.running += 1

    def end(self) -> None:
        """A request was answered."""
        with self._lock:
            self.running -= 1
            self._since = monotonic()

    @property
    def idle(self) -> float:
        """Seconds for which nothing has been in flight; 0 while something is."""
        return 0.0 if self.running else monotonic() - self._since
