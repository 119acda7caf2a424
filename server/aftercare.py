"""What can wait until nobody waits: small works done one by one when the service is idle."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

from .activity import Activity

IDLE = 0.05  # seconds without a request after which the service counts as idle
PATIENCE = 30.0  # seconds after which one work is done although the service never was idle
LONGEST = 5.0  # seconds a closing service waits for a work: one that compiles kernels takes a minute
CAPACITY = 200  # works that may wait; of more, the oldest are dropped

log = logging.getLogger("pqdb.server.aftercare")


class Aftercare:
    """A thread that does works when the service is idle. Works should be short; what they raise is logged."""

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._works: deque[Callable[[], None]] = deque(maxlen=CAPACITY)
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pqdb aftercare", daemon=True)
        self._thread.start()

    def offer(self, work: Callable[[], None]) -> None:
        """Do it later, or never if much later ones push it out."""
        self._works.append(work)
        self._wake.set()

    def close(self) -> None:
        """Drop what waits, and wait a while for what is being done: it is left behind after LONGEST."""
        self._closing.set()
        self._wake.set()
        self._thread.join(LONGEST)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            while self._works and self._wait_for_idleness():
                try:
                    self._works.popleft()()
                except Exception:  # a sample more or less; the thread must live on
                    log.warning("a background work failed", exc_info=True)

    def _wait_for_idleness(self) -> bool:
        """Wait until it may work; False when it is to end instead."""
        patience = monotonic() + PATIENCE
        while not self._closing.is_set():
            if self._activity.idle >= IDLE or monotonic() >= patience:
                return True
            self._closing.wait(IDLE)
        return False
