"""The Broker port in one process, with faults on demand."""

from backhaul.broker.memory.broker import MemoryBroker
from backhaul.broker.memory.faults import Faults
from backhaul.broker.memory.hub import Hub

__all__ = ["Faults", "Hub", "MemoryBroker"]
