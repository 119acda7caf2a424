"""How much of a core background work may take: it rests between pieces of work for as long as that asks for."""

import threading
import time
from contextlib import suppress
from pathlib import Path

LONGEST_REST = 5.0  # seconds
HURRY = 0.2  # seconds
SLICE = 0.05  # seconds of a rest, after which it looks whether somebody waits
_TASKS = Path("/proc/self/task")


class Pace:
    """Keeps the work of one thread, on average, to a share of one core."""

    def __init__(self, share: float) -> None:
        self.share = share
        self._used = 0.0
        self._since = 0.0
        self._hurried = 0.0

    def begin(self) -> None:
        """A stretch of work begins here, in this thread."""
        self._used, self._since = _cpu_seconds(), time.monotonic()

    def hurry(self) -> None:
        """Somebody waits: no rest for a while."""
        self._hurried = time.monotonic() + HURRY

    def rest(self, stopping: threading.Event) -> None:
        """Rest until the work since `begin` takes its share and no more of the time since then, or until stopping."""
        if self.share >= 1:
            return
        until = min(self._since + (_cpu_seconds() - self._used) / self.share, time.monotonic() + LONGEST_REST)
        while (now := time.monotonic()) < until and not stopping.is_set():
            if now < self._hurried:
                self.begin()
                return
            stopping.wait(min(until - now, SLICE))


def _cpu_seconds() -> float:
    """Processor time of this thread and of the threads numpy's products run on, which are not Python's."""
    return time.thread_time() + _other_seconds()


def _other_seconds() -> float:
    """Processor time of all threads that are not Python's, where the system tells."""
    ours = {str(thread.native_id) for thread in threading.enumerate()}
    total = 0.0
    with suppress(OSError, ValueError, IndexError):
        for task in _TASKS.iterdir():
            if task.name not in ours:
                total += int((task / "schedstat").read_text().split()[0]) / 1e9
    return total
