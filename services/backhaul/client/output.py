"""What a task has put out so far, without what a retried attempt wrote in vain."""

from dataclasses import dataclass, field
from typing import Any

from backhaul_contracts.events import GAP, Event, EventType

_ENDED_WITHOUT_SUCCESS = (EventType.FAILED, EventType.CANCELLED)


@dataclass(frozen=True, slots=True)
class _Piece:
    seq: int
    attempt: int
    delta: Any


@dataclass(slots=True)
class Output:
    """Takes the events of one task in order, and knows its output at that point.

    An attempt that is retried resumes at its last checkpoint, so what it wrote behind that (`keep_through` of
    `task.retrying`) will be written again, and is dropped here. An attempt that failed for good is dropped when an
    operator's retry starts another.
    """

    complete: bool = True
    """False if events were no longer kept (`stream.gap`): the beginning may be missing."""

    _pieces: list[_Piece] = field(default_factory=list)
    _failed: Event | None = None

    def take(self, event: Event) -> bool:
        """Whether the event has withdrawn output that was there before."""
        match event.type:
            case EventType.OUTPUT:
                self._pieces.append(_Piece(event.seq, event.attempt, event.data.get("delta")))
            case EventType.RETRYING:
                return self._drop(event)
            case EventType.STARTED if self._failed is not None:
                failed, self._failed = self._failed, None
                return self._drop(failed)
            case _ if event.type in _ENDED_WITHOUT_SUCCESS:
                self._failed = event
            case _ if event.type == GAP:
                self.complete = False
        return False

    @property
    def text(self) -> str:
        """The text deltas, joined."""
        return "".join(piece.delta for piece in self._pieces if isinstance(piece.delta, str))

    @property
    def deltas(self) -> list[Any]:
        """All deltas in order, text and other JSON."""
        return [piece.delta for piece in self._pieces]

    def _drop(self, end: Event) -> bool:
        attempt = end.data.get("attempt", end.attempt)
        keep_through = end.data.get("keep_through", 0)
        kept = [piece for piece in self._pieces if piece.attempt != attempt or piece.seq <= keep_through]
        dropped = len(kept) < len(self._pieces)
        self._pieces = kept
        return dropped
