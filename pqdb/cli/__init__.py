"""The command line: one verb a file, each a guest at the front door."""

from pqdb.cli.main import main

__all__ = ["main"]
