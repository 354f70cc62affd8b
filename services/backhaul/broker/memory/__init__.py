"""The in-process broker: the semantics that matter, without a server, and with faults on demand."""

from backhaul.broker.memory.broker import MemoryBroker
from backhaul.broker.memory.faults import Faults

__all__ = ["Faults", "MemoryBroker"]
