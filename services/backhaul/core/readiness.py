"""What a process lacks, as its probes are told: a sentence for each part that is down."""

from backhaul.core.ports.broker import Broker


def lacks_broker(broker: Broker) -> str | None:
    """What keeps us from the broker, in a sentence without its stop, which strangers may read; None: nothing does."""
    if broker.connected and broker.refuses is None:
        return None
    if broker.blocked is not None:
        return f"The broker takes no messages ({broker.blocked})"
    if broker.refuses is not None:
        return f"The broker does not permit all of our work ({broker.refuses})"
    return "The broker is down"
