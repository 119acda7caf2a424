"""Ids: every spelling of a UUID is one id, order is number order, and what is not an id is refused."""

import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqdb.errors import IdError
from pqdb.store.ids import MAX_INT, id_from_key, id_key, id_keys

CANONICAL = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
SPELLINGS = [
    CANONICAL,
    CANONICAL.upper(),
    CANONICAL.replace("-", ""),
    CANONICAL.replace("-", "").upper(),
    f"urn:uuid:{CANONICAL}",
    f"URN:UUID:{CANONICAL.upper()}",
    f"urn:uuid:{CANONICAL.replace('-', '')}",
    f"{{{CANONICAL}}}",
]
texts = st.text(min_size=1, max_size=400).filter(
    lambda text: (
        1 <= len(text.encode("utf-8", "surrogatepass")) <= 400 and not any(0xD800 <= ord(c) < 0xE000 for c in text)
    )
)


@given(st.integers(0, MAX_INT))
def test_an_integer_comes_back(number: int) -> None:
    assert id_from_key(id_key(number)) == number


@given(texts)
def test_a_string_comes_back_unless_it_is_a_uuid(text: str) -> None:
    back = id_from_key(id_key(text))
    if back != text:
        assert back == str(uuid.UUID(text))


@given(st.uuids())
def test_a_uuid_comes_back_canonical(value: uuid.UUID) -> None:
    assert id_key(value) == id_key(str(value))
    assert id_from_key(id_key(value.hex.upper())) == str(value)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_uuid_is_one_id(spelling: str) -> None:
    assert id_key(spelling) == id_key(CANONICAL)
    assert id_from_key(id_key(spelling)) == CANONICAL


@pytest.mark.parametrize(
    "almost",
    [
        CANONICAL[:-1],
        CANONICAL + "0",
        CANONICAL.replace("-", "", 1),  # hyphens all or none
        CANONICAL.replace("f", "g"),
        f"{{{CANONICAL}",
        CANONICAL.replace("4", "٤"),  # a digit, but not of ASCII
    ],
)
def test_what_almost_spells_a_uuid_is_a_string(almost: str) -> None:
    assert id_from_key(id_key(almost)) == almost


@given(st.lists(st.integers(0, MAX_INT), min_size=2))
def test_keys_order_integers_by_value(numbers: list[int]) -> None:
    assert [id_from_key(key) for key in sorted(map(id_key, numbers))] == sorted(numbers)


def test_integers_come_before_uuids_before_strings() -> None:
    assert id_key(MAX_INT) < id_key(str(uuid.UUID(int=0))) < id_key("\0")


@pytest.mark.parametrize("many", [1, 40])
def test_many_ids_are_their_keys_one_by_one(many: int) -> None:
    mixed = [0, MAX_INT, "a", CANONICAL.upper(), np.uint64(MAX_INT), np.int32(7)] * many
    assert id_keys(mixed) == [id_key(each) for each in mixed]
    integers = [*range(many), MAX_INT]
    assert id_keys(integers) == [id_key(each) for each in integers]
    array = np.array(integers, np.uint64)
    assert id_keys(array) == id_keys(integers)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (-1, "not -1"),
        (1 << 64, str(1 << 64)),
        (np.int64(-5), "not -5"),
        (True, "bool"),
        (False, "bool"),
        (np.True_, "bool"),
        (1.0, "float"),
        (None, "NoneType"),
        (b"bytes", "bytes"),
        ((1,), "tuple"),
        ("", "not 0"),
        ("x" * 401, "not 401"),
        ("ä" * 201, "not 402"),
        ("\ud800", "UTF-8"),
    ],
)
def test_what_is_no_id_is_refused(bad: object, says: str) -> None:
    with pytest.raises(IdError, match=says):
        id_key(bad)
    for ids in ([bad], [*range(30), bad]):
        with pytest.raises(IdError, match=says):
            id_keys(ids)


def test_the_longest_string_fits() -> None:
    assert id_from_key(id_key("ä" * 200)) == "ä" * 200
