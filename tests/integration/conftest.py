"""Neighbours that are not installed cannot be collected: `make test` does without them."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("langchain_qdrant") else ["test_langchain.py"]
