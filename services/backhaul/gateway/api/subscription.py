"""A task that is followed on a WebSocket."""

from collections.abc import Callable

from backhaul.gateway.push.reading import Reading
from backhaul.gateway.push.topic import Topic, Watcher
from backhaul_contracts.conversation import Ref


class Subscription(Watcher):
    """Tells `on_ready` at the first wake after each turn that it may have something to say; it says it when its turn
    comes, so it holds nothing meanwhile."""

    __slots__ = ("_on_ready", "_ready", "reading", "ref")

    transport = "websocket"
    reading: Reading

    def __init__(self, topic: Topic, ref: Ref | None, on_ready: "Callable[[Subscription], None]") -> None:
        super().__init__(topic)
        self.ref = ref
        self._ready = True
        self._on_ready = on_ready

    def wake(self) -> None:
        if not self._ready:
            self._ready = True
            self._on_ready(self)

    def begin_turn(self) -> None:
        """From now on a wake makes it ready again."""
        self._ready = False
