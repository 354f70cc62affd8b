"""Errors as the command line tells them: one line that names the thing, the fact and the remedy."""

import os
import sys

import typer


def say(sentence: str) -> None:
    """One line on the error output."""
    from backhaul.cli.terminal import notes

    notes().print(f"backhaul: {sentence}", style="red")


def usage(error: typer.TyperException) -> str:
    """What is wrong with the command as it was typed."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "backhaul"
    message = error.format_message().rstrip(".")
    return f"{message[:1].lower()}{message[1:]}: see `{command} --help`"


def known(error: Exception) -> str | None:
    """The sentence for a fault that is known, or None for what should not happen."""
    from backhaul.core.errors import BackhaulError

    match error:
        case BackhaulError() | TimeoutError():
            return " ".join(str(error).split())
        case BrokenPipeError():
            _close_output()
            return "the reader of the output has gone"
        case ModuleNotFoundError() if "pip install" in str(error):
            return str(error)
    return None


def _close_output() -> None:
    """Nothing more can be written there: spare the interpreter the attempt at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
