"""Geometry: runs of whole pages with little waste, blocks in size classes, checksums that notice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqdb.errors import CorruptError, InputError
from pqdb.store import layout
from pqdb.store.layout import PAGE, PAGE_HEADER, Runs


@given(st.integers(1, 300_000))
def test_a_run_wastes_at_most_a_twentieth_of_its_pages(row_bytes: int) -> None:
    runs = Runs.of(row_bytes)
    used = runs.rows_per_run * row_bytes
    assert runs.rows_per_run >= 1
    assert used + layout.RUN_TRAILER.size <= runs.run_bytes
    assert used >= 0.95 * runs.pages * PAGE
    assert runs.run_bytes + PAGE_HEADER == runs.pages * PAGE


@pytest.mark.parametrize(("dim", "pages", "rows"), [(128, 3, 23), (256, 5, 19), (384, 5, 13), (768, 7, 9)])
def test_runs_of_float32_vectors(dim: int, pages: int, rows: int) -> None:
    assert Runs.of(4 * dim) == Runs(4 * dim, rows, pages)


@pytest.mark.parametrize("row_bytes", [0, -1])
def test_a_row_has_bytes(row_bytes: int) -> None:
    with pytest.raises(InputError, match=f"not {row_bytes}"):
        Runs.of(row_bytes)


@given(st.integers(0, 3_000_000))
def test_a_size_class_holds_its_data_and_wastes_at_most_an_eighth(data_bytes: int) -> None:
    size = layout.size_class(data_bytes)
    pages = (size + PAGE_HEADER) // PAGE
    least = -(-(data_bytes + PAGE_HEADER) // PAGE)
    assert (size + PAGE_HEADER) % PAGE == 0
    assert least <= pages <= least * 9 / 8 + 1


def test_there_are_few_size_classes() -> None:
    assert len({layout.size_class(n) for n in range(0, 4 << 20, 512)}) < 70


def test_rows_and_bits_fill_their_pages() -> None:
    assert layout.META_PAGE == PAGE - PAGE_HEADER
    assert len(layout.close_piece(np.zeros(layout.PIECE_BYTES, np.uint8))) == PAGE - PAGE_HEADER


@given(st.binary(max_size=200), st.data())
def test_a_sealed_record_notices_a_flipped_bit(record: bytes, data: st.DataObject) -> None:
    sealed = bytearray(layout.seal(record))
    assert layout.unseal(bytes(sealed), "it") == record
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(CorruptError, match="it"):
        layout.unseal(bytes(sealed), "it")


def test_a_closed_run_says_how_many_rows_it_has() -> None:
    run = np.zeros(Runs.of(500).run_bytes, np.uint8)
    run[:1500] = 7
    layout.close_run(run, 3)
    assert layout.closed_run(run.tobytes()) == 3
    run[1499] = 6
    assert layout.closed_run(run.tobytes()) is None


@given(st.integers(0, layout.MAX_ROWS), st.integers(0, 65535))
def test_keys_come_back(row: int, slot: int) -> None:
    assert layout.row_of_key(layout.row_key(row)) == row
    assert layout.run_of_key(layout.run_key(row, slot)) == (slot, row)
