"""The adapters of the Broker port: `backhaul.broker.rabbitmq` and `backhaul.broker.memory`."""
