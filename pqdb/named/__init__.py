"""Collections whose vectors have names."""

from pqdb.named.collection import NamedCollection

__all__ = ["NamedCollection"]
