"""Passages of text that every machine has: the docstrings and comments of the standard library it runs on."""

import ast
import io
import re
import sysconfig
import textwrap
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

# Tests talk about tests, and half of them are missing where distributions split them off.
SKIPPED_FOLDERS = frozenset({"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"})
SHORTEST = 15  # characters; below that a passage says nothing a search could find
DECLARATION = re.compile(r"#!|#.*?coding[:=]")  # of the interpreter or the encoding
LONGEST = 400  # characters; an average of more words than these means nothing in particular

Definition: TypeAlias = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Passage:
    """One docstring paragraph or comment block, with where it stands."""

    module: str
    name: str  # qualified: "hashlib.file_digest", the module itself for what stands outside any definition
    line: int
    text: str

    def payload(self) -> dict[str, str | int]:
        """The passage as the payload of a point."""
        return {"module": self.module, "name": self.name, "line": self.line, "text": self.text}

    def spoken(self) -> str:
        """What the embedder reads: the name's words lead, for a docstring rarely repeats its own subject."""
        return f"{self.name.replace('.', ' ').replace('_', ' ')}: {self.text}"


def standard_library() -> Path:
    """The folder of the running Python's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def source_files(root: Path) -> list[Path]:
    """Every Python source below `root`, tests left out, in the same order on every run."""
    files = (path for path in root.rglob("*.py") if not SKIPPED_FOLDERS & set(path.relative_to(root).parts))
    return sorted(files)


def passages_of_file(path: Path, root: Path) -> list[Passage]:
    """The passages of one source file, in the order of their lines; none of a file that does not parse."""
    try:
        with tokenize.open(path) as file:
            source = file.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in other people's string literals
            tree = ast.parse(source)
        comments = list(_comment_blocks(source))
    except (SyntaxError, UnicodeDecodeError, OSError):  # templates and deliberately broken sources
        return []
    module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    scopes = list(_scopes(tree, module))
    found = [
        Passage(module, scope.name, line, text) for scope in scopes for line, text in _docstring(scope.node)
    ]
    for line, text in comments:
        found.append(Passage(module, _innermost(scopes, line), line, text))
    return sorted(found, key=lambda passage: passage.line)


def distinct(passages: Iterable[Passage]) -> list[Passage]:
    """The first of each wording: copied comments would crowd the hits."""
    first: dict[str, Passage] = {}
    for passage in passages:
        first.setdefault(passage.spoken(), passage)
    return list(first.values())


@dataclass(frozen=True, slots=True)
class _Scope:
    """A module, class or function with its qualified name and the lines it covers."""

    node: Definition
    name: str
    first: int
    last: int


def _scopes(tree: ast.Module, module: str) -> Iterator[_Scope]:
    """Outer scopes before the inner ones they hold."""
    yield _Scope(tree, module, 0, 1 << 30)
    waiting: list[tuple[ast.AST, str]] = [(tree, module)]
    while waiting:
        parent, prefix = waiting.pop()
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{prefix}.{node.name}"
                yield _Scope(node, name, node.lineno, node.end_lineno or node.lineno)
                waiting.append((node, name))
            elif isinstance(node, ast.stmt):
                waiting.append((node, prefix))


def _innermost(scopes: list[_Scope], line: int) -> str:
    covering = (scope for scope in scopes if scope.first <= line <= scope.last)
    return max(covering, key=lambda scope: scope.first).name


def _docstring(node: Definition) -> Iterator[tuple[int, str]]:
    """(line, text) of each piece of a docstring."""
    text = ast.get_docstring(node)
    if text is not None:
        for piece in _pieces(text):
            yield node.body[0].lineno, piece


def _comment_blocks(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of comments that follow each other in one column, on lines of their own or beside code."""
    block: list[str] = []
    first, column, last = 0, 0, -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or DECLARATION.match(token.string):
            continue
        line, start = token.start
        if line != last + 1 or start != column:
            yield from ((first, piece) for piece in _pieces("\n".join(block)))
            block, first, column = [], line, start
        block.append(token.string.lstrip("#:").strip())
        last = line
    yield from ((first, piece) for piece in _pieces("\n".join(block)))


def _pieces(text: str) -> Iterator[str]:
    """Paragraphs joined up to LONGEST characters; a longer paragraph is cut between words."""
    piece = ""
    for paragraph in text.split("\n\n"):
        words = " ".join(paragraph.split())
        if piece and len(piece) + len(words) >= LONGEST:
            yield from _worth_keeping(piece)
            piece = ""
        piece = f"{piece} {words}".strip()
    yield from _worth_keeping(piece)


def _worth_keeping(piece: str) -> Iterator[str]:
    """Drops rulers, code that was commented out and one-word remarks: mostly letters is the test."""
    for part in textwrap.wrap(piece, LONGEST, break_on_hyphens=False):
        letters = sum(map(str.isalpha, part))
        if len(part) >= SHORTEST and letters >= 0.6 * len(part):
            yield part
