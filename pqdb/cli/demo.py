"""`pqdb demo`: the whole of pqdb on text that every machine has."""

from pathlib import Path

import click


@click.command()
@click.argument("question", required=False)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-data"),
    show_default=True,
    help="The folder of the demo's database; made on the first run, reused afterwards.",
)
def demo(question: str | None, data: Path) -> None:
    """Index the docstrings and comments of this Python's standard library, measure, and answer questions.

    With a QUESTION the report is left out and that question is answered.
    """
    try:
        from pqdb.demo.show import show

        show(data, question)
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from error
