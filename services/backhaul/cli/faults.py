"""Errors as the command line tells them: one line that names the thing, the fact and the remedy."""

import logging
import os
import sys
from collections.abc import Sequence

import typer

_UNAUTHENTICATED = 401


class Misuse(typer.TyperException):
    """Wrong usage that only the command itself finds out. The message is the whole sentence."""

    exit_code = 2


def run(app: typer.Typer, arguments: Sequence[str], *, name: str) -> int:
    """The exit code of one command: its own, or 1 for a known fault, 2 for wrong usage, 130 if it is interrupted."""
    # Roles set up logs of their own. Any other command tells its faults itself, in a sentence.
    logging.getLogger("backhaul").addHandler(logging.NullHandler())
    try:
        code = app(list(arguments), prog_name=name, standalone_mode=False)
    except typer.TyperException as error:
        say(_usage(error))
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except Exception as error:
        sentence = _known(error)
        if sentence is None:
            raise
        say(sentence)
        return 1
    return code if isinstance(code, int) else 0


def say(sentence: str, *, style: str = "red") -> None:
    """One line on the error output."""
    from backhaul.cli.terminal import notes, printable

    notes().print(f"backhaul: {printable(' '.join(sentence.split()))}", style=style)


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    if context is None:
        return str(error)
    message = error.format_message().rstrip(".")
    return f"{message[:1].lower()}{message[1:]}: see `{context.command_path} --help`"


def _known(error: Exception) -> str | None:
    """The sentence for a fault that is known, or None for what should not happen."""
    from backhaul.core.errors import BackhaulError

    problem = getattr(error, "problem", None)
    if isinstance(error, BackhaulError) and problem is not None and problem.status == _UNAUTHENTICATED:
        return f"{error}: set BACKHAUL_API_KEY to a key that `backhaul keys create` has made"
    match error:
        case BackhaulError() | TimeoutError():
            return str(error)
        case BrokenPipeError():
            # Nothing more can be written there: spare the interpreter the attempt at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return "the reader of the output has gone"
        case ExceptionGroup():
            sentences = [_known(part) for part in error.exceptions]
            return "; ".join(sentence for sentence in dict.fromkeys(sentences) if sentence) if all(sentences) else None
    return None
