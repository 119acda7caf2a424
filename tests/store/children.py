"""What other processes do in these tests; see tests/processes.py. Also ``python -m tests.store.children VERB ARGS``."""

import ctypes
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

from pqdb.errors import DiskFullError, ForkedError, PqdbError
from pqdb.store import BlockStore, FileLock, PointStore
from tests.processes import heard, say
from tests.store.sources import source_rows


def upsert(path: str, first: str, n: str) -> None:
    with PointStore.open(path) as store, store.write() as batch:
        batch.upsert(range(int(first), int(first) + int(n)), source_rows(int(n), int(first)))


def forget(path: str, first: str, n: str) -> None:
    """Frees the pages of all source rows."""
    with PointStore.open(path) as store, store.write() as batch:
        batch.delete(range(int(first), int(first) + int(n)))
        batch.forget_source(int(n))


def upsert_much(path: str, n: str, map_size: str) -> None:
    """Grows the map on its way."""
    with PointStore.open(path, map_size=int(map_size)) as store, store.write() as batch:
        batch.upsert(range(int(n)), source_rows(int(n)))


def hold_view(path: str) -> None:
    """A reader that keeps its snapshot until told to let go."""
    with PointStore.open(path) as store, store.read() as view:
        say(view.n_live)
        heard()
        say(view.n_live)


def write_into_the_map(path: str) -> None:
    """What a kernel with a wrong address would do."""
    with PointStore.open(path) as store, store.read() as view:
        address = int(view.runs[0])
        say("resolved")
        ctypes.memset(address, 0, 1)
        say("written")


def read_and_write_when_told(path: str) -> None:
    """A handle that stays open."""
    with PointStore.open(path) as store:
        with store.read() as view:
            say(view.n_live)
        number = 1_000_000
        while word := heard():
            if word == "write":
                with store.write() as batch:
                    batch.upsert([number], source_rows(1, number))
                number += 1
            with store.read() as view:
                say(view.n_live)


def compact(path: str) -> None:
    with PointStore.open(path) as store:
        store.compact()


def compact_on_a_full_disk(path: str) -> None:
    with PointStore.open(path) as store:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            store.compact()
        except DiskFullError as error:
            say(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        with store.read() as view:
            say(view.n_live)
        say(store.verify())


def fill_disk(path: str, limit: str, store_kind: str) -> None:
    """Write until the file may not grow; then say what happened, and how the store is afterwards."""
    if int(limit):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    if store_kind == "points":
        with PointStore.open(path) as store:
            fill_points(store)
    else:
        with BlockStore.open(path) as store:
            fill_blocks(store)


def no_room_for_a_meta_page(path: str) -> None:
    """The last page of a commit cannot be written, as on file systems that never write in place; then there is room."""
    with PointStore.open(path) as store:
        data = (Path(path) / "data.mdb").resolve()
        files = [int(each.name) for each in Path("/proc/self/fd").iterdir() if leads_to(each, data)]
        (meta,) = (number for number in files if flags_of(number) & os.O_DSYNC)
        kept, full = os.dup(meta), os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, meta)
        try:
            with store.write() as batch:
                batch.upsert([5_000], source_rows(1))
            say("written")
        except DiskFullError as error:
            say(error)
        os.dup2(kept, meta)
        with store.read() as view:
            say(view.row_of(5_000))
        with store.write() as batch:
            batch.upsert([5_001], source_rows(1))
        with store.read() as view:
            say((view.row_of(5_000), view.row_of(5_001) is not None))
        say(store.verify())


def leads_to(link: Path, file: Path) -> bool:
    try:
        return link.readlink() == file
    except OSError:  # the folder itself, which is closed by now
        return False


def flags_of(number: int) -> int:
    lines = Path(f"/proc/self/fdinfo/{number}").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("flags:")).split()[1], 8)


def fill_points(store: PointStore) -> None:
    written = 0
    try:
        while True:
            with store.write() as batch:
                batch.upsert(range(written, written + 300), source_rows(300, written))
            written += 300
    except DiskFullError as error:
        say(error)
    with store.read() as view:
        say(view.n_live == written > 0)
        rows = np.arange(view.n_rows)
        say((view.source_of(rows[-300:]) == source_rows(300, written - 300)).all())
    say(store.verify())


def fill_blocks(store: BlockStore) -> None:
    written = 0
    with store.write() as batch:
        batch.begin_generation(1, 1000)
    try:
        while True:
            with store.write() as batch:
                batch.put_list(1, written, 1, b"x" * 100_000)
                batch.set_current(1, written + 1)
            written += 1
    except DiskFullError as error:
        say(error)
    with store.read() as view:
        say(view.watermark == written > 0)
        say(np.count_nonzero(view.codes) == written)
    say(store.verify())


def fork(path: str) -> None:
    """Use a handle, and a view, from before a fork in the child."""
    store = PointStore.open(path)
    with store.read() as view:
        alive = view.n_live
    child = os.fork()
    if not child:
        try:
            with store.read():
                say("read")
        except ForkedError as error:
            say(error)
        try:
            with store.write():
                say("wrote")
        except ForkedError:
            say("refused")
        store.close()
        with PointStore.open(path) as own, own.write() as batch:
            batch.upsert([1_000_000], source_rows(1))
        os._exit(0)
    say(os.waitpid(child, 0)[1])
    with store.read() as view:
        say(view.n_live - alive)


def fork_inside_a_view(path: str) -> None:
    """A child that leaves its parent's view must not free the parent's place in the reader table."""
    store = PointStore.open(path)
    with store.read() as view:
        before = view.source_of(np.arange(view.n_rows))
        child = os.fork()
        if not child:
            try:
                view.__exit__(None, None, None)
                with store.read():
                    say("read")
            except ForkedError:
                say("refused")
            try:
                PointStore.open(path)
            except ForkedError as error:
                say(str(error).rpartition(": ")[2])
            os._exit(0)
        say(os.waitpid(child, 0)[1])
        for n, verb in enumerate(("forget", "upsert", "upsert")):  # takes our snapshot's pages, were our place lost
            writer = os.spawnl(os.P_WAIT, sys.executable, sys.executable, "-m", __spec__.name, verb, path, "0", "1000")
            say(writer or n)
        say((view.source_of(np.arange(view.n_rows)) == before).all())


def hold_lock(path: str) -> None:
    lock = FileLock(path)
    say(lock.acquire())
    heard()
    lock.close()
    say("free")
    heard()


def open_read_only(path: str) -> None:
    """As a user who may not write: says what can be seen, and what writing says."""
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        with PointStore.open(path, readonly=True) as store, store.read() as view:
            say(view.n_live)
        PointStore.open(path)
        say("opened")
    except PqdbError as error:
        say(f"{type(error).__name__}: {error}")


def wait(seconds: str) -> None:
    time.sleep(float(seconds))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
