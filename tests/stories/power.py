"""Power cuts: the system calls of a process, replayed up to any instant; what was not on disk by then is lost in part.

`strace` takes down every call that changes files. `Disk` is a disk as strict as POSIX allows: a write counts only once
its file is synchronised (or at once, through a descriptor opened with O_DSYNC), and may else be there in part, in
sectors of 512 bytes and in any order; a name counts only once its folder is synchronised, and the changes of one
folder's names reach the disk in their order. Syncing a file does nothing for its name, nor one folder for another.
"""

from __future__ import annotations

import codecs
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
CHANGES = (
    "open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,lseek,ftruncate,truncate,fallocate,fsync,fdatasync,rename,"
    "renameat,renameat2,mkdir,mkdirat,unlink,unlinkat,rmdir,link,linkat,copy_file_range,sendfile"
)
UNKNOWN = ("copy_file_range", "sendfile", "truncate", "pwritev2")  # nobody here calls them; who does teaches the disk


# -- what was called


@dataclass(frozen=True)
class Call:
    """One system call that went well: its name, its arguments as strace prints them, and what it returned."""

    name: str
    arguments: str
    result: str

    def says(self) -> bool:
        """Whether it writes to standard output."""
        return self.name == "write" and self.arguments.startswith("1<")


def strace() -> str | None:
    """The program, where there is one that may trace here."""
    found = shutil.which("strace")
    if found is None or subprocess.run([found, "-o/dev/null", "true"], capture_output=True, check=False).returncode:
        return None
    return found


def traced(log: Path, root: Path, module: str, verb: str, *arguments: object) -> None:
    """Run a verb of a module in a process of its own and take down what it, and whoever it starts, does to files."""
    code = f"from {module} import {verb}; {verb}({', '.join(repr(str(each)) for each in arguments)})"
    options = ["-f", "--seccomp-bpf", "-y", "-xx", "-s", "100000000", "-e", f"trace={CHANGES}", "-o", str(log)]
    command = ["strace", *options, sys.executable, "-c", code]
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)


def calls(log: Path, root: Path) -> list[Call]:
    """The calls of a log that concern a folder, or say something, in the order in which they ended."""
    inside = "".join(f"\\x{byte:02x}" for byte in str(root).encode())
    return [call for call in _all_calls(log) if inside in call.arguments + call.result or call.says()]


def _all_calls(log: Path) -> Iterator[Call]:
    begun: dict[str, str] = {}
    with log.open(encoding="ascii") as lines:
        for line in lines:
            process, _, told = line.rstrip("\n").partition(" ")
            told = told.lstrip()
            if told.endswith("<unfinished ...>"):
                begun[process] = told.removesuffix("<unfinished ...>")
                continue
            if told.startswith("<... "):
                told = begun.pop(process) + told.partition("resumed>")[2]
            found = re.fullmatch(r"(\w+)\((.*)\)\s+= (\S+).*", told)
            if found and not found[3].startswith("-"):
                yield Call(found[1], found[2], found[3])


def texts(arguments: str) -> list[bytes]:
    """The strings among the arguments."""
    return [codecs.escape_decode(each)[0] for each in re.findall(r'"([^"]*)"', arguments)]


def opened_file(text: str) -> Path:
    """The file that a descriptor, printed as 7<path>, leads to."""
    return Path(codecs.escape_decode(re.search(r"<([^>]*)>", text)[1])[0].decode())  # type: ignore[index]


def descriptor(text: str) -> str:
    """A descriptor as it is printed, 7<path>: its number alone would be another process's too."""
    return text.partition(">")[0]


# -- the disk


@dataclass
class Change:
    """Bytes written at an offset, or (None) an end given to the file."""

    at: int
    data: bytes | None
    settled: bool = False

    def apply(self, content: bytearray, kept: random.Random | None = None, share: float = 1.0) -> None:
        """Do it, or as much of it as reached the disk."""
        if self.data is None:
            if kept is None or kept.random() < share:
                content[:] = content[: self.at].ljust(self.at, b"\0")
            return
        first = 0
        while first < len(self.data):
            end = min(len(self.data), first + SECTOR - (self.at + first) % SECTOR)
            if kept is None or kept.random() < share:
                content.extend(bytes(max(0, self.at + end - len(content))))
                content[self.at + first : self.at + end] = self.data[first:end]
            first = end


@dataclass
class File:
    """What is surely there, and what was changed since."""

    content: bytearray = field(default_factory=bytearray)
    changes: list[Change] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.changes:
            change.apply(self.content)
        self.changes.clear()

    def size(self) -> int:
        size = len(self.content)
        for change in self.changes:
            size = change.at if change.data is None else max(size, change.at + len(change.data))
        return size

    def left(self, chance: random.Random, share: float) -> bytes:
        """What a power cut leaves of it."""
        content = bytearray(self.content)
        for change in self.changes:
            change.apply(content, None if change.settled else chance, share)
        return bytes(content)


@dataclass
class Folder:
    """Its names that are surely there, and as everybody sees them; the changes in between, in their order."""

    settled: dict[str, File | Folder] = field(default_factory=dict)
    names: dict[str, File | Folder] = field(default_factory=dict)
    changes: list[dict[str, File | Folder | None]] = field(default_factory=list)

    def change(self, **names: File | Folder | None) -> None:
        """Names come, go (None), or change what they lead to, all at once."""
        self.changes.append(names)
        _take(self.names, names)

    def sync(self) -> None:
        self.settled = dict(self.names)
        self.changes.clear()

    def left(self, chance: random.Random) -> dict[str, File | Folder]:
        """What a power cut leaves of it."""
        found = dict(self.settled)
        for change in self.changes[: chance.randint(0, len(self.changes))]:
            _take(found, change)
        return found


def _take(names: dict[str, File | Folder], change: dict[str, File | Folder | None]) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


class Disk:
    """A folder and all below it, as a process left it call by call."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.top = settled(root)
        self._ends: dict[str, int] = {}  # where the next write through a descriptor goes
        self._immediate: set[str] = set()  # descriptors opened with O_DSYNC

    def take(self, call: Call) -> None:
        """What one call does to the disk."""
        assert call.name not in UNKNOWN, call
        act = getattr(self, "_" + re.sub("(at2?|64)$", "", call.name.replace("creat", "openat")), None)
        if act is not None:
            act(call)

    def cut(self, folder: Path, chance: random.Random) -> None:
        """Write what a power cut leaves into a folder."""
        share = chance.choice((0.0, 0.5, 0.9, 1.0))
        _write(folder, self.top.left(chance), chance, share)

    def _find(self, path: Path) -> tuple[Folder, str] | None:
        """The folder a path lies in and its name there; None where it lies elsewhere."""
        if not path.is_relative_to(self.root) or path == self.root:
            return None
        folder: File | Folder = self.top
        *above, name = path.relative_to(self.root).parts
        for each in above:
            assert isinstance(folder, Folder), path
            folder = folder.names[each]
        assert isinstance(folder, Folder), path
        return folder, name

    def _node(self, path: Path) -> File | Folder | None:
        if path == self.root:
            return self.top
        found = self._find(path)
        return found[0].names.get(found[1]) if found else None

    def _open(self, call: Call) -> None:
        found = self._find(opened_file(call.result))
        if found is None or "O_RDONLY" in call.arguments:
            return
        number = descriptor(call.result)
        self._immediate.discard(number)
        self._ends[number] = 0
        folder, name = found
        if name not in folder.names:
            folder.change(**{name: File()})
        node = folder.names[name]
        if "O_TRUNC" in call.arguments and isinstance(node, File):
            node.changes.append(Change(0, None))
        if "DSYNC" in call.arguments or "O_SYNC" in call.arguments:
            self._immediate.add(number)
        if "O_APPEND" in call.arguments and isinstance(node, File):
            self._ends[number] = node.size()

    def _write_at(self, call: Call, offset: int | None) -> None:
        number = descriptor(call.arguments)
        node = self._node(opened_file(call.arguments))
        if not isinstance(node, File):
            return
        data = b"".join(texts(call.arguments.partition(">")[2]))[: int(call.result)]
        if offset is None:
            offset = self._ends[number]
            self._ends[number] = offset + len(data)
        node.changes.append(Change(offset, data, settled=number in self._immediate))

    def _write(self, call: Call) -> None:
        self._write_at(call, None)

    _writev = _write

    def _lseek(self, call: Call) -> None:
        if descriptor(call.arguments) in self._ends:
            self._ends[descriptor(call.arguments)] = int(call.result)

    def _pwrite(self, call: Call) -> None:
        self._write_at(call, int(re.findall(r"(\d+)", call.arguments.rpartition(", ")[2])[0]))

    _pwritev = _pwrite

    def _ftruncate(self, call: Call) -> None:
        node = self._node(opened_file(call.arguments))
        if isinstance(node, File):
            node.changes.append(Change(int(call.arguments.rpartition(", ")[2]), None))

    def _fallocate(self, call: Call) -> None:
        node = self._node(opened_file(call.arguments))
        if isinstance(node, File):
            offset, length = map(int, call.arguments.split(", ")[-2:])
            if offset + length > node.size():
                node.changes.append(Change(offset + length, None))

    def _fsync(self, call: Call) -> None:
        node = self._node(opened_file(call.arguments))
        if node is not None:
            node.sync()

    _fdatasync = _fsync

    def _paths(self, call: Call) -> list[Path]:
        """The paths a call names: absolute ones, as ours all are, or below a descriptor's folder."""
        below = re.findall(r"(?:^|, )(?:\d+|AT_FDCWD)<([^>]*)>, \"([^\"]*)\"", call.arguments)
        if below:
            return [Path(*(codecs.escape_decode(each)[0].decode() for each in pair)) for pair in below]
        return [Path(each.decode()) for each in texts(call.arguments)]

    def _mkdir(self, call: Call) -> None:
        found = self._find(self._paths(call)[0])
        if found:
            found[0].change(**{found[1]: Folder()})

    def _unlink(self, call: Call) -> None:
        found = self._find(self._paths(call)[0])
        if found:
            found[0].change(**{found[1]: None})

    _rmdir = _unlink

    def _rename(self, call: Call) -> None:
        old, new = map(self._find, self._paths(call))
        if old and new:
            assert old[0] is new[0], call  # between folders nothing here is renamed
            old[0].change(**{new[1]: old[0].names[old[1]], old[1]: None})

    def _link(self, call: Call) -> None:
        old, new = map(self._find, self._paths(call))
        if old and new:
            new[0].change(**{new[1]: old[0].names[old[1]]})


def settled(folder: Path) -> Folder:
    """A folder as it is, all of it on disk."""
    names: dict[str, File | Folder] = {
        each.name: settled(each) if each.is_dir() else File(bytearray(each.read_bytes())) for each in folder.iterdir()
    }
    return Folder(dict(names), dict(names))


def _write(folder: Path, names: dict[str, File | Folder], chance: random.Random, share: float) -> None:
    folder.mkdir()
    for name, node in names.items():
        if isinstance(node, Folder):
            _write(folder / name, node.left(chance), chance, share)
        else:
            (folder / name).write_bytes(node.left(chance, share))


# -- what a process does, to try the disk


def write_files(folder: str) -> None:
    """A file without any sync, one without its name's, one with both, and one of which half is synchronised."""
    for name in ("loose", "nameless", "safe", "half"):
        with (Path(folder) / name).open("wb", buffering=0) as file:
            file.write(name[:1].encode() * 4_000)
            if name != "loose":
                os.fsync(file.fileno())
            if name in ("safe", "half"):
                names = os.open(folder, os.O_RDONLY)
                os.fsync(names)
                os.close(names)
            if name == "half":
                file.write(b"H" * 4_000)
    (Path(folder) / "safe").rename(Path(folder) / "moved")
    os.write(1, b"written\n")
