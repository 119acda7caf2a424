"""`pqdb`: the verbs, gathered; our errors become one sentence and exit code 1."""

import click

from pqdb.cli.care import compact
from pqdb.cli.demo import demo
from pqdb.cli.look import check, info, recall, repair
from pqdb.cli.safe import backup, restore
from pqdb.cli.serve import serve
from pqdb.cli.transfer import export, import_
from pqdb.cli.warmup import warmup
from pqdb.errors import PqdbError


class Sentences(click.Group):
    """A group whose verbs may raise PqdbError: the user reads its sentence, not a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except PqdbError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Sentences, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pqdb")
def main() -> None:
    """A vector database that keeps compressed codes in memory and the recall you ask for."""


for verb in (demo, serve, info, recall, check, repair, compact, backup, restore, import_, export, warmup):
    main.add_command(verb)
