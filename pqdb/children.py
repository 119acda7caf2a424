"""A child process that does one thing of pqdb's and says how it goes, a line of JSON after the other."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def start(module: str, arguments: list[str]) -> "subprocess.Popen[str]":
    """A process that runs `child()` of a module of pqdb's; a context manager."""
    places = [str(Path(__file__).parents[1]), *filter(None, sys.path)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    command = [sys.executable, "-c", f"from {module} import child; child()", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)


def lines(process: "subprocess.Popen[str]") -> Iterator[list[Any]]:
    """What the child says."""
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def say(*line: Any) -> None:
    """In the child: a line to the parent."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
