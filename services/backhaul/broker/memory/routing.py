"""Which queues an exchange leads a message to."""

from collections.abc import Iterable

from backhaul.core.messages.topology import Exchange, ExchangeKind

_REMEMBERED = 10_000


class MemoryExchange:
    """An exchange and its bindings, in the order in which they were made."""

    def __init__(self, spec: Exchange) -> None:
        self.spec = spec
        self._bindings: dict[tuple[str, str], None] = {}
        self._known: dict[str, tuple[str, ...]] = {}

    def bind(self, queue: str, key: str) -> None:
        self._bindings[queue, key] = None
        self._known.clear()

    def unbind(self, queue: str, key: str) -> None:
        self._bindings.pop((queue, key), None)
        self._known.clear()

    def forget(self, queue: str) -> None:
        """A queue was deleted."""
        self._bindings = {binding: None for binding in self._bindings if binding[0] != queue}
        self._known.clear()

    def route(self, keys: Iterable[str]) -> dict[str, None]:
        """The names of the queues that these keys lead to, each once."""
        return dict.fromkeys(queue for key in keys for queue in self._route(key))

    def _route(self, key: str) -> tuple[str, ...]:
        queues = self._known.get(key)
        if queues is None:
            if len(self._known) >= _REMEMBERED:  # foreign producers choose keys
                self._known.clear()
            queues = tuple(queue for queue, pattern in self._bindings if self._matches(pattern, key))
            self._known[key] = queues
        return queues

    def _matches(self, pattern: str, key: str) -> bool:
        if self.spec.kind is ExchangeKind.FANOUT:
            return True
        if self.spec.kind is ExchangeKind.DIRECT:
            return pattern == key
        return topic_matches(pattern.split("."), key.split("."))


def topic_matches(pattern: list[str], words: list[str]) -> bool:
    """Whether a topic pattern fits: `*` stands for one word, `#` for any number (AMQP 0-9-1, 3.1.3.3)."""
    if not pattern:
        return not words
    head, rest = pattern[0], pattern[1:]
    if head == "#":
        return any(topic_matches(rest, words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and head in ("*", words[0]) and topic_matches(rest, words[1:])
