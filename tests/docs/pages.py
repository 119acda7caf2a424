"""Pages of the documentation: their code blocks run, their links followed, their shell commands looked up."""

import contextlib
import io
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and what a `text` block right behind it says it prints."""

    page: Path
    line: int  # of the first line of code
    language: str
    code: str
    printed: str | None


def blocks(page: Path, language: str) -> list[Block]:
    """The fenced blocks of a page in one language."""
    text = page.read_text()
    fences = list(_FENCE.finditer(text))
    found = []
    for number, fence in enumerate(fences):
        if fence[1] != language:
            continue
        behind = fences[number + 1] if number + 1 < len(fences) else None
        answers = behind is not None and behind[1] == "text" and not text[fence.end() : behind.start()].strip()
        line = text.count("\n", 0, fence.start(2)) + 1
        found.append(Block(page, line, language, fence[2], behind[2] if behind and answers else None))
    return found


def run(page: Path, base_url: str | None = None) -> dict[str, Any]:
    """Run a page's Python blocks, top to bottom in one namespace; returns that namespace.

    What a block prints must be what the page says it prints. `base_url` stands for the service's usual address.
    """
    names: dict[str, Any] = {"__name__": page.stem}
    for block in blocks(page, "python"):
        code = block.code.replace("http://127.0.0.1:6333", base_url) if base_url else block.code
        out = io.StringIO()
        # Blank lines first, so that a traceback names the page's own line.
        lines = "\n" * (block.line - 1) + code
        with contextlib.redirect_stdout(out):
            exec(compile(lines, str(page), "exec"), names)
        if block.printed is not None:
            assert out.getvalue() == block.printed, f"{page.name}:{block.line} prints\n{out.getvalue()}"
    return names


def links(page: Path) -> list[str]:
    """The relative links and images of a page, code left out."""
    prose = _FENCE.sub("", page.read_text())
    return [link for link in _LINK.findall(prose) if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page: Path) -> list[list[str]]:
    """The commands of a page's shell blocks, as words; a string may go on over several lines."""
    found, so_far = [], ""
    for block in blocks(page, "sh"):
        for line in block.code.splitlines():
            so_far += line + "\n"
            try:
                words = shlex.split(so_far, comments=True)
            except ValueError:  # a quotation is still open
                continue
            so_far = ""
            if words:
                found.append(words)
    assert not so_far, f"{page.name}: {so_far}"
    return found
