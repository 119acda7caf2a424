"""`pqdb serve`: the HTTP service, which is an extra and imported only here."""

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("path", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1, this machine only]")
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on, 0 for any.  [default: 6333]")
@click.option("--workers", type=click.IntRange(1), help="How many processes serve the database.  [default: 1]")
@click.option("--read-only", is_flag=True, default=None, help="Searches work, writes are refused.")
@click.option("--memory-limit", help="How much memory upkeep and searches may take, such as 512MB.")
@click.option("--log-level", type=click.Choice(["critical", "error", "warning", "info", "debug", "trace"]))
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="A TOML file with settings.")
@click.option("--set", "others", multiple=True, metavar="NAME=VALUE", help="Any other setting, such as grace=60.")
def serve(path: Path | None, others: tuple[str, ...], **given: Any) -> None:
    """Serve the database at PATH over HTTP, in the wire form of Qdrant's REST interface.

    What is not said here is read from the environment (PQDB_PATH, PQDB_HOST, PQDB_PORT …) and the settings file. Keys
    belong there too: arguments can be seen by everybody on the machine.
    """
    try:
        import pqdb_server
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f'the service needs {error.name}, which is not installed: pip install "pqdb[server]"'
        ) from error
    settings = {name: value for name, value in given.items() if value is not None}
    pqdb_server.serve(path, **settings, **_others(others, pqdb_server.Settings.model_fields))


def _others(words: tuple[str, ...], known: Any) -> dict[str, str]:
    """`NAME=VALUE` words as settings. Raises BadParameter for what is no setting."""
    pairs = [word.partition("=") for word in words]
    for name, equals, _ in pairs:
        if not equals or name not in known:
            raise click.BadParameter(f"{name!r} is not NAME=VALUE of a setting: {', '.join(known)}")
    return {name: value for name, _, value in pairs}
