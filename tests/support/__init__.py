"""Real servers for tests and benchmarks: one RabbitMQ and one PostgreSQL, started privately if none is given.

`tests.support.servers` chooses them, `tests.support.fixtures` hands them to tests:

| fixture | gives |
|---|---|
| `amqp_url` | a RabbitMQ that holds nothing of ours: a new vhost, or the given one emptied |
| `database_url` | a new, empty PostgreSQL database |
| `module_amqp_url`, `module_database_url` | the same, for all tests of a module |
| `rabbitmq_server`, `postgresql_server` | the servers themselves, shared by the whole session |
| `private_rabbitmq`, `private_postgresql` | servers of one test module's own, empty, to stop, kill and freeze |
"""
