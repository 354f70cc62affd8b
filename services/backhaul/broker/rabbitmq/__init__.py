"""The Broker port on RabbitMQ."""

from backhaul.broker.rabbitmq.broker import RabbitBroker

__all__ = ["RabbitBroker"]
