"""Children of a test: started, spoken with line by line, always ended."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def run(verb: str, *arguments: object) -> list[str]:
    """Let a child do one thing. -> the lines it said. It must end well."""
    done = subprocess.run(_command(verb, arguments), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@contextmanager
def talk(verb: str, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """A child to speak with."""
    child = subprocess.Popen(
        _command(verb, arguments),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def hear(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def tell(child: "subprocess.Popen[str]", word: str = "") -> None:
    assert child.stdin is not None
    child.stdin.write(f"{word}\n")
    child.stdin.flush()


def _command(verb: str, arguments: tuple[object, ...]) -> list[str]:
    return [sys.executable, "-m", "tests.store.children", verb, *map(str, arguments)]
