"""`python -m pqdb_server`: the service, told by its environment what to do."""

import sys

import pqdb

from .serving import serve

if __name__ == "__main__":
    try:
        serve()
    except pqdb.PqdbError as error:
        sys.exit(f"Error: {error}")
