"""The reference is what the code says of itself, and leaves nothing public out."""

import pqdb
from tests.docs import reference


def test_it_is_current() -> None:
    assert reference.PAGE.read_text() == reference.page(), "run: python -m tests.docs.reference"


def test_nothing_public_is_left_out() -> None:
    told = {each if isinstance(each, str) else each.__name__ for _, names in reference.ROOMS for each in names}
    errors = {name for name in pqdb.__all__ if name.endswith(("Error", "Warning"))}
    assert told | errors | {"ROADS"} == set(pqdb.__all__)
