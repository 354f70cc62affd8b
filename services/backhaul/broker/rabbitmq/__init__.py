"""The Broker port on RabbitMQ."""

from backhaul.broker.rabbitmq.broker import RabbitBroker
from backhaul.broker.rabbitmq.inspecting import BrokerFacts, inspect_broker, missing_permissions

__all__ = ["BrokerFacts", "RabbitBroker", "inspect_broker", "missing_permissions"]
