"""The two ports: what Backhaul needs of a database and of a broker; their adapters live in `store` and `broker`."""
