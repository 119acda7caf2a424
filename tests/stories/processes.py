"""Children of a story: they use pqdb through its front door, in a process of their own, and say what they see."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
Child = "subprocess.Popen[str]"


def run(verb: str, *arguments: object) -> list[str]:
    """Let a child do one thing, which must end well. -> the lines it said."""
    done = subprocess.run(_command(verb, arguments), cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@contextmanager
def talk(verb: str, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """A child to speak with; it does not outlive the test."""
    pipe = subprocess.PIPE
    child = subprocess.Popen(_command(verb, arguments), cwd=ROOT, stdin=pipe, stdout=pipe, text=True, bufsize=1)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def hear(child: "subprocess.Popen[str]") -> str:
    """The next line a child says; "" at its end."""
    assert child.stdout is not None
    return child.stdout.readline().strip()


def tell(child: "subprocess.Popen[str]", word: str = "") -> None:
    """Say a line to a child."""
    assert child.stdin is not None
    child.stdin.write(f"{word}\n")
    child.stdin.flush()


def _command(verb: str, arguments: tuple[object, ...]) -> list[str]:
    return [sys.executable, "-m", "tests.stories.children", verb, *map(str, arguments)]
