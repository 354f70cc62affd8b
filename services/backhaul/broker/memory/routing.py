"""Where a message goes: exchanges and bindings as AMQP 0-9-1 defines them (sections 3.1.3.1 to 3.1.3.3)."""

from collections.abc import Iterable
from functools import lru_cache

from backhaul.core.topology import Binding, Exchange, ExchangeKind


class Routes:
    """Exchanges with their bindings; the default exchange routes by queue name."""

    def __init__(self) -> None:
        self.exchanges: dict[str, Exchange] = {}
        self._bindings: dict[str, dict[str, list[str]]] = {}

    def add(self, exchange: Exchange) -> None:
        self.exchanges[exchange.name] = exchange
        self._bindings.setdefault(exchange.name, {})

    def bind(self, binding: Binding) -> None:
        """Raises `KeyError` if there is no such exchange."""
        queues = self._bindings[binding.exchange].setdefault(binding.key, [])
        if binding.queue not in queues:
            queues.append(binding.queue)

    def bound(self, binding: Binding) -> bool:
        return binding.queue in self._bindings.get(binding.exchange, {}).get(binding.key, [])

    def unbind(self, queue: str) -> None:
        """Forget every binding of a queue that is gone."""
        for keys in self._bindings.values():
            for queues in keys.values():
                if queue in queues:
                    queues.remove(queue)

    def queues(self, exchange: str, keys: Iterable[str]) -> list[str]:
        """The queues that a message reaches, each once; those of the alternate exchange if there are none.

        Raises `KeyError` if there is no such exchange.
        """
        keys = tuple(keys)
        if not exchange:
            return list(dict.fromkeys(keys))
        found = dict.fromkeys(queue for key in keys for queue in self._matching(exchange, key))
        alternate = self.exchanges[exchange].alternate
        if found or alternate is None:
            return list(found)
        return self.queues(alternate, keys)

    def _matching(self, exchange: str, key: str) -> Iterable[str]:
        kind, bindings = self.exchanges[exchange].kind, self._bindings[exchange]
        if kind is ExchangeKind.DIRECT:
            return bindings.get(key, ())
        everything = kind is ExchangeKind.FANOUT
        return [
            queue for pattern, queues in bindings.items() if everything or matches(pattern, key) for queue in queues
        ]


@lru_cache(maxsize=4_096)
def matches(pattern: str, key: str) -> bool:
    """Whether a topic pattern fits: `*` stands for one word, `#` for any number of them, none included."""
    return _match(tuple(pattern.split(".")), tuple(key.split(".")))


def _match(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_match(pattern[1:], words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _match(pattern[1:], words[1:])
