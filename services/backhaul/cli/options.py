"""Options that several commands share."""

from typing import Annotated

import typer

Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="The gateway. Default: BACKHAUL_URL, or http://127.0.0.1:8080."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]
TaskId = Annotated[str, typer.Argument(metavar="ID", help="A task: tsk_…")]
