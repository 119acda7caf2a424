"""The service as a process of its own, as an operator starts it."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

PQDB = [sys.executable, "-c", "from pqdb.cli import main; main()"]


class Served:
    """A process that serves; its log is read all the time, so that it never waits for a reader."""

    def __init__(self, env: dict[str, str], command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, env={**os.environ, **env}, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.log: list[str] = []
        self._listens = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._listens.wait(120), self.text
        assert self.process.poll() is None, self.text
        self._connect()

    def _read(self) -> None:
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"(https?)://127\.0\.0\.1:(\d+)", line):
                self.url = found[0]
                self.port = int(found[2])
                self._listens.set()
        self._listens.set()

    def _connect(self) -> None:
        """The line comes a moment before the port is listened on."""
        for _ in range(600):
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.05)
        raise AssertionError(self.text)

    @property
    def text(self) -> str:
        return "".join(self.log)

    def stop(self, sign: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(sign)
        code = self.process.wait(60)
        self._reader.join(60)
        self.process.stderr.close()
        return code


@contextlib.contextmanager
def served(path, *arguments: str, **settings: object) -> Iterator[Served]:
    """`python -m pqdb_server` on a database, or `pqdb serve` when it is given arguments. path None: the environment has
    it.
    """
    env = {f"PQDB_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "pqdb_server"]
    if arguments:
        command = [*PQDB, "serve", *([] if path is None else [str(path)]), *arguments]
    named = {} if path is None else {"PQDB_PATH": str(path)}
    process = Served({**named, "PQDB_PORT": "0", **env}, command)
    try:
        yield process
    finally:
        process.stop()
