"""What is left of a connection that RabbitMQ has refused."""

import asyncio
import gc
import warnings

from yarl import URL

from backhaul.broker.rabbitmq.tolerance import TolerantConnection


def test_a_connection_that_never_was_leaves_no_closing_behind() -> None:
    """It may be collected at any time, also where no event loop runs."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(None)
    connection = TolerantConnection(URL("amqp://127.0.0.1:1/"), loop=loop)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        del connection
        gc.collect()

    loop.close()
    assert [str(warning.message) for warning in told if "never awaited" in str(warning.message)] == []
