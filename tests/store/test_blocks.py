"""Blocks: what was put is what lies at the addresses, over any sequence of commits and generations."""

import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pqdb.errors import ClosedError, CorruptError, InputError, ReadOnlyError, StorageError
from pqdb.store import BlockStore, BlockView
from pqdb.store.addresses import BYTES
from pqdb.store.blocklayout import HEADER_BYTES, LISTS_A_PIECE, block_key

Block = tuple[int, bytes, bytes | None]
data = st.binary(min_size=1, max_size=100) | st.integers(1, 60_000).map(lambda n: bytes([n % 251]) * n)


def read_at(address: int, size: int) -> bytes:
    return bytes(BYTES[address : address + size])


def assert_holds(view: BlockView, lists: list[Block | None]) -> None:
    assert view.n_lists == len(view.codes) == len(view.rerank) == len(view.counts) == len(lists)
    for list_no, block in enumerate(lists):
        addresses = int(view.codes[list_no]), int(view.rerank[list_no])
        count, codes, rerank = block or (0, b"", None)
        assert view.counts[list_no] == count
        for address, expected in zip(addresses, (codes, rerank), strict=True):
            assert (address == 0) == (count == 0 or expected is None)
            if address:
                assert address % 64 == 0
                assert read_at(address, len(expected or b"")) == expected


class LikeLists(RuleBasedStateMachine):
    """An index beside plain lists of (count, codes, rerank), by generation."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = BlockStore.create(self.folder / "index")
        self.model: dict[int, list[Block | None]] = {}
        self.objects: dict[tuple[int, str], bytes] = {}
        self.current = (0, 0)

    def teardown(self) -> None:
        assert self.store.verify() == []
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(generation=st.integers(1, 3), n_lists=st.integers(1, 6))
    def begin(self, generation: int, n_lists: int) -> None:
        if generation in self.model:
            with pytest.raises(InputError, match="has begun already"), self.store.write() as batch:
                batch.begin_generation(generation, n_lists)
            return
        with self.store.write() as batch:
            batch.begin_generation(generation, n_lists)
            assert batch.n_lists(generation) == n_lists
        self.model[generation] = [None] * n_lists

    @precondition(lambda self: self.model)
    @rule(
        choice=st.randoms(use_true_random=False),
        puts=st.lists(st.tuples(st.integers(0, 50), data, st.none() | data), max_size=4),
    )
    def put(self, choice: "st.Random", puts: list[Block]) -> None:  # type: ignore[name-defined]
        generation = choice.choice(sorted(self.model))
        lists = self.model[generation]
        with self.store.write() as batch:
            for count, codes, rerank in puts:
                list_no = choice.randrange(len(lists))
                batch.put_list(generation, list_no, count, codes, rerank)
                lists[list_no] = (count, codes, rerank) if count else None
                found = batch.read_list(generation, list_no)
                assert found == ((count, codes, rerank) if count else (0, None, None))

    @precondition(lambda self: self.model)
    @rule(choice=st.randoms(use_true_random=False), watermark=st.integers(0, 2**40))
    def swap(self, choice: "st.Random", watermark: int) -> None:  # type: ignore[name-defined]
        generation = choice.choice(sorted(self.model))
        with self.store.write() as batch:
            batch.set_current(generation, watermark)
            assert (batch.generation, batch.watermark) == (generation, watermark)
        self.current = (generation, watermark)

    @rule(generation=st.integers(1, 3), name=st.sampled_from(["codebook", "ä"]), value=data)
    def put_object(self, generation: int, name: str, value: bytes) -> None:
        with self.store.read() as view:
            before = view.objects_version
        with self.store.write() as batch:
            batch.put_object(generation, name, value)
            assert batch.get_object(generation, name) == value
        with self.store.read() as view:
            assert view.objects_version > before
        self.objects[generation, name] = value

    @rule(generation=st.integers(1, 3))
    def drop(self, generation: int) -> None:
        if generation == self.current[0]:
            with pytest.raises(InputError, match="is the current one"), self.store.write() as batch:
                batch.drop_generation(generation)
            return
        with self.store.write() as batch:
            batch.drop_generation(generation)
        self.model.pop(generation, None)
        self.objects = {key: value for key, value in self.objects.items() if key[0] != generation}

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = BlockStore.open(self.folder / "index")

    @invariant()
    def same(self) -> None:
        assert self.store.generations() == sorted(self.model)
        with self.store.read() as view:
            assert (view.generation, view.watermark) == self.current
            assert_holds(view, self.model.get(view.generation, []))
            for name in ("codebook", "ä"):
                assert view.find_object(name) == self.objects.get((view.generation, name))


TestLikeLists = LikeLists.TestCase
TestLikeLists.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)


def test_a_view_keeps_its_snapshot(blocks: BlockStore) -> None:
    with blocks.write() as batch:
        batch.begin_generation(1, 3)
        batch.put_list(1, 0, 5, b"old codes", b"old rerank")
        batch.put_object(1, "codebook", b"old")
        batch.set_current(1, 5)

    def change() -> None:
        with blocks.write() as batch:
            batch.begin_generation(2, 2)
            batch.put_list(2, 1, 7, b"new")
            batch.put_object(2, "codebook", b"new")
            batch.set_current(2, 9)
        with blocks.write() as batch:
            batch.drop_generation(1)

    with blocks.read() as view:
        thread = threading.Thread(target=change)
        thread.start()
        thread.join()
        with blocks.read() as newer:
            assert (newer.generation, newer.watermark, newer.object("codebook")) == (2, 9, b"new")
            assert_holds(newer, [None, (7, b"new", None)])
        assert (view.generation, view.watermark, view.object("codebook")) == (1, 5, b"old")
        assert_holds(view, [(5, b"old codes", b"old rerank"), None, None])


def test_a_generation_dropped_and_begun_anew_is_another(blocks: BlockStore) -> None:
    """The same number, the same list, the same size: the cached address must not be taken for the new one."""
    for text in (b"first", b"other"):
        with blocks.write() as batch:
            batch.begin_generation(1, 1)
            batch.put_list(1, 0, 3, text)
            batch.set_current(1, 1)
        with blocks.read() as view:
            assert_holds(view, [(3, text, None)])
        with blocks.write() as batch:
            batch.set_current(0, 0)
            batch.drop_generation(1)
    with blocks.read() as view:
        assert (view.generation, view.n_lists) == (0, 0)


def test_only_lists_that_changed_move(blocks: BlockStore) -> None:
    n = 2 * LISTS_A_PIECE + 7
    with blocks.write() as batch:
        batch.begin_generation(1, n)
        for list_no in range(n):
            batch.put_list(1, list_no, 1, np.full(40, list_no, np.uint16), np.arange(3, dtype=np.float32))
        batch.set_current(1, n)
    with blocks.read() as view:
        before = view.codes
    with blocks.write() as batch:
        batch.put_list(1, LISTS_A_PIECE, 2, b"changed")
    with blocks.read() as view:
        assert np.flatnonzero(view.codes != before).tolist() == [LISTS_A_PIECE]
        assert read_at(int(view.codes[n - 1]), 80) == np.full(40, n - 1, np.uint16).tobytes()
        assert view.rerank[LISTS_A_PIECE] == 0


def test_an_unchanged_view_shares_its_arrays(blocks: BlockStore) -> None:
    with blocks.read() as view:
        codes = view.codes
    with blocks.read() as view:
        assert view.codes is codes


def test_looking_at_a_generation_before_it_is_swapped_in(blocks: BlockStore) -> None:
    with blocks.write() as batch:
        for generation in (1, 2):
            batch.begin_generation(generation, generation)
            batch.put_list(generation, 0, generation, b"codes %d" % generation)
            batch.put_object(generation, "codebook", b"%d" % generation)
        batch.set_current(1, 5)
    with blocks.read() as view:
        view.look_at(2, 6)
        assert (view.generation, view.watermark, view.object("codebook")) == (2, 6, b"2")
        assert_holds(view, [(2, b"codes 2", None), None])
    with blocks.read() as view:
        assert (view.generation, view.watermark) == (1, 5)
        assert_holds(view, [(1, b"codes 1", None)])


def test_a_failed_batch_leaves_nothing(blocks: BlockStore) -> None:
    batch = blocks.write().__enter__()
    batch.begin_generation(1, 2)
    with pytest.raises(InputError, match="lists 0 to 1, not 2") as caught:
        batch.put_list(1, 2, 1, b"x")
    with pytest.raises(StorageError, match="an operation of this batch failed"):
        batch.set_current(1, 1)
    batch.__exit__(caught.type, caught.value, caught.tb)
    with pytest.raises(InputError, match="generation 1 has not begun"), blocks.write() as batch:
        batch.put_list(1, 0, 1, b"x")
    with pytest.raises(InputError, match="has not begun"), blocks.write() as batch:
        batch.set_current(4, 1)
    with pytest.raises(InputError, match="not 0 and 5"), blocks.write() as batch:
        batch.begin_generation(0, 5)
    assert blocks.generations() == []


def test_a_block_that_is_another_is_refused(blocks: BlockStore) -> None:
    with blocks.write() as batch:
        batch.begin_generation(1, 3)
        for list_no in range(3):
            batch.put_list(1, list_no, 1, b"x")
        batch.set_current(1, 1)
    swapped, damaged = block_key(1, 0, 0), block_key(1, 1, 0)
    txn = blocks.env.begin_write()
    good = bytes(txn.get(swapped, db=blocks.env.dbs["blocks"]))
    for key, value, says in (
        (swapped, bytes(txn.get(damaged, db=blocks.env.dbs["blocks"])), "is another one"),
        (damaged, b"\xff" + good[1:], "header is damaged"),
        (damaged, good[: HEADER_BYTES - 1], "less than its header"),
    ):
        txn.put(key, value, db=blocks.env.dbs["blocks"])
        txn.commit()
        blocks.env.end_write()
        with pytest.raises(CorruptError, match=says), BlockStore.open(blocks.path) as fresh, fresh.read():
            pass
        assert any(says in each for each in blocks.verify())
        txn = blocks.env.begin_write()
        txn.put(swapped, good, db=blocks.env.dbs["blocks"])
    txn.abort()
    blocks.env.end_write()


def test_objects_are_missed_by_name(blocks: BlockStore) -> None:
    with blocks.read() as view:
        assert view.find_object("codebook") is None
        with pytest.raises(KeyError, match="no object 'codebook'"):
            view.object("codebook")


def test_a_closed_or_read_only_index_refuses(blocks: BlockStore) -> None:
    with BlockStore.open(blocks.path, readonly=True) as reader, pytest.raises(ReadOnlyError, match="-only"):
        reader.write()
    for refused in (reader.read, reader.write):
        with pytest.raises(ClosedError, match="is closed"):
            refused()


def test_a_copy_is_an_index(blocks: BlockStore, tmp_path: Path) -> None:
    """LMDB's transactions begin at 1 again in such a copy; versions of lists must not."""
    with blocks.write() as batch:
        batch.begin_generation(1, 2)
        batch.set_current(1, 0)
    for n in range(6):
        with blocks.write() as batch:
            batch.put_list(1, n % 2, 1, b"first")
    for n in range(10):
        with blocks.read() as view:
            view.copy(tmp_path / f"copy {n}")
        with BlockStore.open(tmp_path / f"copy {n}") as copy:
            with copy.read() as view:
                assert_holds(view, [(1, b"first", None), (1, b"first", None)])
            for _ in range(n):
                with copy.write() as batch:
                    batch.put_list(1, 0, 1, b"first")
            with copy.write() as batch:
                batch.put_list(1, 1, 1, b"later")
            with copy.read() as view:
                assert_holds(view, [(1, b"first", None), (1, b"later", None)])
            assert copy.verify() == []


@pytest.mark.parametrize(("was", "now"), [(3, 5), (5, 3), (508, 509), (509, 508), (2, 2_000), (2_000, 2), (508, 1_016)])
def test_a_generation_is_given_more_lists_or_fewer(
    blocks: BlockStore, rows: Callable[..., np.ndarray], was: int, now: int
) -> None:
    both = min(was, now)
    with blocks.write() as batch:
        batch.begin_generation(1, was)
        for list_no in (0, both - 1):
            batch.put_list(1, list_no, 30, rows(3, list_no), rows(6, list_no))
        batch.set_current(1, 60)
    with blocks.read() as view:
        assert view.n_lists == was
    with blocks.write() as batch:
        batch.resize_generation(1, now)
        if now > was:
            batch.put_list(1, now - 1, 7, rows(2, 9))
    with blocks.read() as view:
        assert view.n_lists == len(view.counts) == now
        assert view.counts[[0, both - 1]].tolist() == [30, 30]
        assert bytes(view.data(both - 1)) == rows(3, both - 1).tobytes()
        assert view.counts.sum() == (30 if both == 1 else 60) + 7 * (now > was)
        assert (view.codes != 0).sum() == (view.counts != 0).sum()
    assert blocks.verify() == []


def test_a_list_that_is_not_empty_is_not_taken_away(blocks: BlockStore, rows: Callable[..., np.ndarray]) -> None:
    with blocks.write() as batch:
        batch.begin_generation(1, 5)
        batch.put_list(1, 4, 30, rows(3))
    with pytest.raises(InputError, match="list 4 of generation 1 is not empty: 30 rows"), blocks.write() as batch:
        batch.resize_generation(1, 4)
    with pytest.raises(InputError, match="the number of lists is 1"), blocks.write() as batch:
        batch.resize_generation(1, 0)
