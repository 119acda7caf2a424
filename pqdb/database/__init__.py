"""A folder of collections."""

from pqdb.database.database import Database, open_database

__all__ = ["Database", "open_database"]
