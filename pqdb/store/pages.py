"""An LMDB data file read by plain reads, page by page: nothing in it can end the process, and what is sound is found.

LMDB itself trusts its pages: on a damaged one it may abort, loop, or lose keys in silence. This reads the same B-trees
(LMDB 0.9, 64-bit, little-endian), goes round what cannot be followed, and notes it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pqdb.errors import CorruptError
from pqdb.store.datafile import NAME, walk

_HEADER = struct.Struct("<QHHHH")  # page number, pad, flags, lower, upper
_NODE = struct.Struct("<HHHH")  # low, high, flags, key bytes
_RECORD = struct.Struct("<IHHQQQQQ")  # of a database: pad, flags, depth, branch, leaf, overflow, entries, root
_META = struct.Struct("<II QQ")  # magic, version, address, map size; then the records of free list and main, …
_META_END = struct.Struct("<QQ")  # … last page, transaction
_MAGIC = 0xBEEFC0DE
_BRANCH, _LEAF, _OVERFLOW, _META_PAGE = 1, 2, 4, 8
_BIG, _SUB = 1, 2
_NO_PAGE = (1 << 64) - 1
_DEEPEST = 32
MAX_NOTES = 1_000


@dataclass(frozen=True)
class Tree:
    """A database of the file: its flags, where its tree begins, and how many keys it claims to have."""

    name: str
    flags: int
    root: int
    entries: int


@dataclass(frozen=True)
class Value:
    """Where a value lies in the file."""

    offset: int
    size: int


@dataclass(frozen=True)
class _Visit:
    """A page to be looked at: where a search for a key from `first` to before `end` would go."""

    number: int
    depth: int
    first: bytes
    end: bytes | None

    def admits(self, key: bytes) -> bool:
        return self.first <= key and (self.end is None or key < self.end)


class PageFile:
    """A data file, opened for plain reads. `notes` says what could not be followed.

    Raises CorruptError where neither meta page can be read; NotADatabaseError and StorageError are left to `inspect`.
    """

    def __init__(self, folder: Path, page_bytes: int = 4096) -> None:
        self.path = folder / NAME
        self.page_bytes = page_bytes
        self.notes: list[str] = []
        self._file = self.path.open("rb")
        try:
            self.main, self.txn_id = self._newest()
        except BaseException:
            self._file.close()
            raise
        self._seen: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def trees(self) -> dict[str, Tree]:
        """The named databases that can be found."""
        found = {}
        for key, value, flags in self._nodes(self.main):
            record = self.read(value)
            if flags & _SUB and len(record) == _RECORD.size:
                name = key.decode(errors="replace")
                _, tree_flags, _, _, _, _, entries, root = _RECORD.unpack(record)
                found[name] = Tree(name, tree_flags, root, entries)
        return found

    def items(self, tree: Tree) -> Iterator[tuple[bytes, Value]]:
        """Every key that can be reached, with the place of its value."""
        for key, value, _ in self._nodes(tree):
            yield key, value

    def read(self, value: Value) -> bytes:
        """The bytes of a value; fewer where the file ends before."""
        self._file.seek(value.offset)
        return self._file.read(value.size)

    def problems(self) -> list[str]:
        """What is wrong with every tree of the file."""
        for tree in self.trees().values():
            if tree.flags:
                self._note(f"{tree.name}: its flags are {tree.flags:#x}, not 0")
            found = sum(1 for _ in self._nodes(tree))
            if found != tree.entries:
                self._note(f"{tree.name}: {found:,} keys can be reached, its record says {tree.entries:,}")
        return self.notes

    # -- how -------------------------------------------------------------------------------------------

    def _newest(self) -> tuple[Tree, int]:
        """The main database as of the newest meta page that can be read."""
        metas = [meta for number in (0, 1) if (meta := self._meta(number)) is not None]
        if not metas:
            raise CorruptError(f"{self.path} is overwritten: neither of its meta pages can be read")
        return max(metas, key=lambda meta: meta[1])

    def _meta(self, number: int) -> tuple[Tree, int] | None:
        page = self._page(number)
        if len(page) < self.page_bytes or not _HEADER.unpack_from(page)[2] & _META_PAGE:
            return None
        at = _HEADER.size
        if _META.unpack_from(page, at)[:2] != (_MAGIC, 1):
            return None
        main = _RECORD.unpack_from(page, at + _META.size + _RECORD.size)
        txn_id = _META_END.unpack_from(page, at + _META.size + 2 * _RECORD.size)[1]
        return Tree("main", main[1], main[7], main[6]), txn_id

    def _page(self, number: int) -> bytes:
        return self.read(Value(number * self.page_bytes, self.page_bytes)) if number < 1 << 48 else b""

    def _nodes(self, tree: Tree) -> Iterator[tuple[bytes, Value, int]]:
        """(key, value, flags) of every leaf node of a tree that can be reached, in key order where it is sound."""
        self._seen = set()
        stack = [] if tree.root == _NO_PAGE else [_Visit(tree.root, 1, b"", None)]
        while stack:
            visit = stack.pop()
            page = self._tree_page(tree, visit.number, visit.depth)
            if page is None:
                continue
            if _HEADER.unpack_from(page)[2] & _BRANCH:
                stack += reversed(self._children(tree, page, visit))
                continue
            for at, (low, high, flags, key_bytes) in self._slots(tree, page):
                key = page[at + _NODE.size : at + _NODE.size + key_bytes]
                if not visit.admits(key):
                    self._note(f"{tree.name}: a key of page {visit.number} is not where a search would look for it")
                value = self._value(tree, visit.number, page, at + _NODE.size + key_bytes, low | high << 16, flags)
                if value is not None:
                    yield key, value, flags

    def _children(self, tree: Tree, page: bytes, visit: _Visit) -> list[_Visit]:
        """The pages a branch page leads to, each with the keys that a search looks for there."""
        slots = list(self._slots(tree, page))
        keys = [page[at + _NODE.size : at + _NODE.size + node[3]] for at, node in slots]
        firsts = [visit.first, *keys[1:]]  # (the first key of a branch page is empty and stands for all below)
        return [
            _Visit(low | high << 16 | flags << 32, visit.depth + 1, first, end)
            for (_, (low, high, flags, _)), first, end in zip(slots, firsts, [*keys[1:], visit.end], strict=False)
        ]

    def _tree_page(self, tree: Tree, number: int, depth: int) -> bytes | None:
        """A branch or leaf page that is what its parent took it for, not met before."""
        page = self._page(number)
        if len(page) < self.page_bytes:
            self._note(f"{tree.name}: page {number} lies beyond the end of the file")
        elif number in self._seen or depth > _DEEPEST:
            self._note(f"{tree.name}: page {number} is met twice, or too deep")
        elif _HEADER.unpack_from(page)[0] != number or _HEADER.unpack_from(page)[2] not in (_BRANCH, _LEAF):
            self._note(f"{tree.name}: page {number} is another one, or overwritten")
        else:
            self._seen.add(number)
            return page
        return None

    def _slots(self, tree: Tree, page: bytes) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
        """(offset, node header) of the nodes that lie inside a page."""
        number, _, _, lower, _ = _HEADER.unpack_from(page)
        for slot in range(_HEADER.size, min(lower, self.page_bytes - 1), 2):
            at = int.from_bytes(page[slot : slot + 2], "little")
            if _HEADER.size <= at <= self.page_bytes - _NODE.size:
                node = _NODE.unpack_from(page, at)
                if at + _NODE.size + node[3] <= self.page_bytes:
                    yield at, node
                    continue
            self._note(f"{tree.name}: a node of page {number} lies outside of it")

    def _value(self, tree: Tree, number: int, page: bytes, at: int, size: int, flags: int) -> Value | None:
        """Where a leaf node's value lies: behind its key, or in pages of its own."""
        if not flags & _BIG:
            if at + size <= self.page_bytes:
                return Value(number * self.page_bytes + at, size)
        elif at + 8 <= self.page_bytes:
            first = int.from_bytes(page[at : at + 8], "little")
            head = self._page(first)[: _HEADER.size]
            if len(head) == _HEADER.size and _HEADER.unpack(head)[0] == first and _HEADER.unpack(head)[2] == _OVERFLOW:
                return Value(first * self.page_bytes + _HEADER.size, size)
        self._note(f"{tree.name}: a value of page {number} cannot be found")
        return None

    def _note(self, sentence: str) -> None:
        if len(self.notes) < MAX_NOTES:
            self.notes.append(sentence)


def problems(folder: Path) -> list[str]:
    """What is wrong with the structure of a data file, read without mapping it; [] if sound."""
    found = walk(folder)
    if not found:
        with PageFile(folder) as file:
            found = file.problems()
    return found
