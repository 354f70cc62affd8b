"""The demo as a program: it shows what happens, and leaves by itself."""

import asyncio
import sys
from typing import Annotated

import typer

from backhaul.cli import faults
from backhaul.cli.demo.document import read

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
def demo(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="A text or Markdown file. Default: these docs.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="A gateway to use, with the key in BACKHAUL_API_KEY. Default: a platform of its own."),
    ] = None,
) -> None:
    """Summarise a document, show every step, and tell how long each took."""
    document = read(file or None)
    from backhaul.cli.demo.show import show

    raise typer.Exit(asyncio.run(show(document, url)))


def main() -> None:
    sys.exit(faults.run(app, sys.argv[1:], name="demo"))


if __name__ == "__main__":
    main()
