"""Server-sent events: bytes in, messages out (WHATWG HTML §9.2.6, "Interpreting an event stream").

A parser of our own, because lines end here at CR, LF or CRLF only, while the line readers of Python and httpx also
break at U+2028, U+0085 and others that may stand inside the JSON.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Message:
    """One dispatched event; `id` is the last event id so far, "" if there was none."""

    type: str
    data: str
    id: str


class EventParser:
    """Reads one connection's stream, in pieces of any size. What is unfinished at its end is not an event."""

    def __init__(self) -> None:
        self.retry: timedelta | None = None
        """The last reconnection time that the server asked for."""
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._rest = ""
        self._after_cr = False
        self._type = ""
        self._data: list[str] = []
        self._id = ""

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """The messages that this piece completes."""
        for line in self._lines(self._decoder.decode(chunk)):
            if line:
                self._take(line)
            else:
                yield from self._dispatch()

    def _lines(self, text: str) -> list[str]:
        if not text:
            return []
        if self._after_cr and text[0] == "\n":
            text = text[1:]
            self._after_cr = False
        if text:
            self._after_cr = text[-1] == "\r"
        *lines, self._rest = _LINE_END.split(self._rest + text)
        return lines

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._type = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry = timedelta(milliseconds=min(int(value), _LONGEST_RETRY_MS))
            case _:  # a comment (its name is empty) or a field of some later standard
                pass

    def _dispatch(self) -> Iterator[Message]:
        if self._data:
            yield Message(self._type or "message", "\n".join(self._data), self._id)
        self._type = ""
        self._data = []


_LONGEST_RETRY_MS = 3_600_000
