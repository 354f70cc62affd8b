"""The two ports: what Backhaul needs of a database and of a broker. Adapters live in `backhaul.store` and `backhaul.broker`."""
