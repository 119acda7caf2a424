"""`python -m pqdb_server`: the service, told by its environment what to do."""

from .serving import serve

if __name__ == "__main__":
    serve()
