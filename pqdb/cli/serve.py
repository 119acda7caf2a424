"""`pqdb serve`: the HTTP service, which is an extra and imported only here."""

from pathlib import Path

import click


@click.command()
@click.argument("path", type=click.Path(file_okay=False, path_type=Path))
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1, this machine only]")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="The port to listen on, 0 for any.  [default: 6333]"
)
@click.option("--read-only", is_flag=True, default=None, help="Searches work, writes are refused.")
@click.option("--log-level", type=click.Choice(["critical", "error", "warning", "info", "debug", "trace"]))
def serve(
    path: Path, host: str | None, port: int | None, read_only: bool | None, log_level: str | None
) -> None:
    """Serve the database at PATH over HTTP, in the wire form of Qdrant's REST interface.

    What is not said here is read from the environment: PQDB_HOST, PQDB_PORT and the service's other settings.
    """
    try:
        import pqdb_server
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f'the service needs {error.name}, which is not installed: pip install "pqdb[server]"'
        ) from error
    given = {"host": host, "port": port, "read_only": read_only, "log_level": log_level}
    pqdb_server.serve(path, **{name: value for name, value in given.items() if value is not None})
