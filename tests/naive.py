"""The naive cousins of every kernel, one file a room: ``from tests import naive``."""

from tests import naive_quantization as quantization
from tests import naive_search as search

__all__ = ["quantization", "search"]
