"""What is typed, read from a file or piped in, as values."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backhaul.cli.faults import Misuse


def json_value(argument: str | None) -> Any:
    """The JSON in `argument`, in the file behind `@`, or on the standard input for `-`; None if there is no argument.

    Raises `Misuse` for what is not JSON or cannot be read.
    """
    from backhaul_contracts import codec

    if argument is None:
        return None
    source, text = _read(argument)
    try:
        return codec.loads(text)
    except ValueError as error:
        raise Misuse(f"{source} is not JSON ({error}): quote it for the shell, or give @FILE or -") from error


def metadata(pairs: Sequence[str]) -> dict[str, str]:
    """The labels in `name=value` pairs. Raises `Misuse` for what is none."""
    labels = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise Misuse(f"--metadata {pair!r} is no label: write name=value")
        labels[name] = value
    return labels


def statuses(names: Sequence[str]) -> list[str]:
    """The same, each of which is a status. Raises `Misuse` for one that is not."""
    from backhaul_contracts.tasks import Status

    for name in names:
        if name not in list(Status):
            raise Misuse(f"--status {name!r} is no status: give one of {', '.join(Status)}")
    return list(names)


def targets(names: Sequence[str]) -> list[str]:
    """The same, each of which has the form of a service's name. Raises `Misuse` for one that has not."""
    for name in names:
        module, _, service = name.partition(":")
        if not (module and service):
            raise Misuse(f"{name!r} names no service: write MODULE:SERVICE, such as digest.service:service")
    return list(names)


def _read(argument: str) -> tuple[str, str | bytes]:
    if argument == "-":
        return "the standard input", sys.stdin.buffer.read()
    if not argument.startswith("@"):
        return "the input", argument
    path = Path(argument[1:])
    try:
        return f"the file {path}", path.read_bytes()
    except OSError as error:
        fact = (error.strerror or str(error)).lower()
        raise Misuse(f"the file {path} cannot be read ({fact}): name one with the input in JSON") from error
