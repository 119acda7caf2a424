"""What other processes do in the stories; see tests/processes.py."""

import os
import resource
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

import pqdb
from pqdb import checking
from tests.data import clustered
from tests.processes import heard, say
from tests.stories.damage import contents

DIM = 8


def upsert(path: str, first: str, n: str) -> None:
    with pqdb.open(path, upkeep="manual") as database:
        database["things"].upsert(np.arange(int(first), int(first) + int(n)), clustered(int(n), DIM, seed=int(first)))


def search_when_told(path: str) -> None:
    """A reader that stays open: at each word it says how many points there are and whether the last one is found."""
    with pqdb.open(path, upkeep="manual") as database:
        things = database["things"]
        say("open")
        while heard():
            n = len(things)
            (point,) = things.get([n - 1], with_vector=True)
            say(f"{n} {things.search(point.vector, 1).ids == [n - 1]}")


def drop_and_make_again(path: str, dim: str) -> None:
    with pqdb.open(path, upkeep="manual") as database:
        database.drop_collection("things")
        database.create_collection("things", int(dim)).upsert([1], np.ones(int(dim)))


def hold_upkeep(path: str) -> None:
    """Train in the background of this process, until told to end."""
    with pqdb.open(path, upkeep_share=1) as database:
        things = database["things"]
        say(len(things))
        heard()


def fork(path: str) -> None:
    """Handles from before a fork are refused in the child; what the child opens itself works."""
    database = pqdb.open(path)
    things = database["things"]
    before = len(things)
    child = os.fork()
    if not child:
        acts = (
            lambda: len(things), lambda: things.search(np.ones(DIM)), lambda: things.upsert([1], np.ones(DIM)),
            things.optimize, things.compact, things.train,  # whoever holds their locks did not come along
        )  # fmt: skip
        for act in acts:
            try:
                act()
                say("no error")
            except pqdb.ForkedError as error:
                say(f"ForkedError: {error}")
        with pqdb.open(path, upkeep="manual") as own:
            own["things"].upsert([10_000_000], np.ones(DIM))
        os._exit(0)
    say(os.waitpid(child, 0)[1])
    say(len(things) - before)
    database.close()


def train_on_a_full_disk(path: str, spare: str) -> None:
    """The index may grow by `spare` bytes only: training fails, searching goes on, and then there is room again."""
    index = next(Path(path).rglob("index/data.mdb")).stat().st_size
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    with pqdb.open(path, upkeep="manual") as database:
        things = database["things"]
        query = things.get([3], with_vector=True)[0].vector
        before = things.search(query, 5).ids
        resource.setrlimit(resource.RLIMIT_FSIZE, (index + int(spare), hard))
        try:
            things.train()
            say("trained")
        except pqdb.DiskFullError as error:
            say(f"DiskFullError: {error}")
        say(things.search(query, 5).ids == before)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        things.train()
        say(things.search(query, 5).ids[0] == before[0])
        say(things.verify())


def upsert_until_full(path: str, limit: str) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    with pqdb.open(path, upkeep="manual") as database:
        things = database["things"]
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), hard))
        written = len(things)
        try:
            while True:
                things.upsert(np.arange(written, written + 500), clustered(500, DIM, seed=written))
                written += 500
        except pqdb.DiskFullError as error:
            say(f"DiskFullError: {error}")
        say(len(things) == written)
        say(things.search(clustered(500, DIM, seed=written - 500)[7], 1).ids == [written - 493])
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        things.upsert([written], np.ones(DIM))
        say(things.verify())


def background_on_a_full_disk(path: str) -> None:
    """Upkeep cannot write: it says so in info(), and reads and writes of points go on."""
    import time

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    with pqdb.open(path, upkeep_share=1) as database:
        things = database["things"]
        for _ in range(600):
            if things.info()["upkeep"]["error"]:
                break
            time.sleep(0.05)
        say(things.info()["upkeep"]["error"])
        point = things.get([3], with_vector=True)[0]
        say(things.search(point.vector, 1).ids)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        things.upsert([3], -point.vector)
        say(things.search(-point.vector, 1).ids)
        things.optimize()
        say(things.info()["generation"])


def read_only(path: str) -> None:
    """As a user who may not write."""
    with pqdb.open(path, read_only=True) as database:  # afterwards we may not be able to read Python's own files either
        database["things"].search(np.ones(DIM))
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        with pqdb.open(path, read_only=True) as database:
            things = database["things"]
            point = things.get([3], with_vector=True)[0]
            say(things.search(point.vector, 1).ids)
            try:
                things.delete([3])
            except pqdb.ReadOnlyError as error:
                say(f"ReadOnlyError: {error}")
        pqdb.open(path)
        say("opened")
    except pqdb.PqdbError as error:
        say(f"{type(error).__name__}: {error}")


def backup_without_room(path: str, target: str) -> None:
    """No file may have more than 20,000 bytes; then what is left of it, and whether there is room again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pqdb.open(path, read_only=True, upkeep="manual") as database:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        try:
            database.backup(target)
            say("backed up")
        except pqdb.DiskFullError as error:
            say(f"DiskFullError: {error}")
        say([each.name for each in Path(target).parent.iterdir()])
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        database.backup(target)
    say(pqdb.check(target).problems)


def train_when_due(path: str) -> None:
    """Be ready to train in the background, and wait in the middle of it for a word."""
    from pqdb.upkeep import steps

    through = steps.build_generation

    def build(*arguments: object, **options: object) -> int:
        say("training")
        heard()
        generation = through(*arguments, **options)  # type: ignore[arg-type]
        say("trained")
        return generation

    steps.TRAIN_ROWS, steps.build_generation = 100, build
    with pqdb.open(path) as database:
        len(database["things"])
        threading.Event().wait()  # until we are killed


def rename(path: str, old: str, new: str) -> None:
    with pqdb.open(path, upkeep="manual") as database:
        database.rename_collection(old, new)


def make_and_drop(path: str, seed: str, seconds: str) -> None:
    """Make, write and drop collections of a few names, as another process does at the same time."""
    import time

    rng = np.random.default_rng(int(seed))
    with pqdb.open(path, upkeep="manual") as database:
        deadline = time.monotonic() + float(seconds)
        while time.monotonic() < deadline:
            name = f"name {rng.integers(0, 2)}"
            try:
                database.create_collection(name, 4)
                say("made")
            except pqdb.CollectionExistsError:
                say("exists")
            except pqdb.CollectionNotFoundError:  # dropped elsewhere between its making and its opening
                say("gone")
            try:
                database[name].upsert([1], np.ones(4))
                say("written")
            except (pqdb.CollectionNotFoundError, pqdb.ClosedError):
                say("gone")
            say("dropped" if database.drop_collection(name) else "gone")


# -- bad days


VERBS: dict[str, Callable[[pqdb.Database], object]] = {
    "create": lambda db: db.create_collection("more", DIM),
    "upsert": lambda db: db["things"].upsert(np.arange(5_000, 6_500), clustered(1_500, DIM, seed=3)),
    "replace": lambda db: db["things"].upsert(np.arange(1_500), clustered(1_500, DIM, seed=4), [{"n": 1}] * 1_500),
    "delete": lambda db: db["things"].delete(np.arange(0, 1_500, 2)),
    "set payload": lambda db: db["things"].set_payload({"mark": "x" * 300}, np.arange(1_500)),
    "payload index": lambda db: db["things"].create_payload_index("n", "integer"),
    "train": lambda db: db["things"].train(),
    "optimize": lambda db: db["things"].optimize(),
    "compact": lambda db: db["things"].compact(),
    "alias": lambda db: db.set_alias("now", "things"),
    "metadata": lambda db: db.set_metadata("things", {"much": "x" * 20_000}),
    "rename": lambda db: db.rename_collection("flat", "even"),
    "drop": lambda db: db.drop_collection("flat"),
}


def without_room(path: str, verb: str, spare: str) -> None:
    """No file may end further than `spare` bytes behind where the points end now; then there is room again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pqdb.open(path, upkeep="manual") as database:
        size = (database["things"]._points.env.home / "data.mdb").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(0, size + int(spare)), hard))
        _try_and_try_again(
            database, verb, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)), Path(path)
        )


def on_a_full_disk(path: str, verb: str) -> None:
    """A file takes all the room there is; then it is gone."""
    with pqdb.open(path, upkeep="manual") as database:
        len(database["things"])
        filler = Path(path).parent / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4_096)
        _try_and_try_again(database, verb, filler.unlink, Path(path))


def without_permission(path: str, verb: str) -> None:
    """As a user whose folders become read-only while they are open; then they may be written again."""
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    with pqdb.open(path, upkeep="manual") as database:
        folders = [Path(path), *(each for each in Path(path).rglob("*") if each.is_dir())]
        len(database["things"])
        len(database["flat"])
        for folder in folders:
            folder.chmod(0o555)
        _try_and_try_again(database, verb, lambda: [folder.chmod(0o755) for folder in folders], Path(path))


def _try_and_try_again(database: pqdb.Database, verb: str, mend: Callable[[], object], path: Path) -> None:
    """Say what became of a verb, and whether all else is as it was; then mend the world, and say it of a second try."""
    before = contents(path, by_codes=False)
    try:
        VERBS[verb](database)
        say("done")
    except pqdb.PqdbError as error:
        say(f"{type(error).__name__}: {error}")
        say(contents(path, by_codes=False) == before)
    else:
        say(True)
    mend()
    say([line for line in checking.look(path) if line[0] == "problem"])
    try:
        VERBS[verb](database)
    except (pqdb.CollectionExistsError, pqdb.CollectionNotFoundError) as error:
        say(f"done before: {error}")
    else:
        say("done")
    database["things"].upsert([9_999], np.ones(DIM))
    say(database["things"].search(np.ones(DIM), 1).ids)
    say([line for line in checking.look(path) if line[0] == "problem"])
