"""A handler for a child process."""

import logging

from backhaul import Context


def greet(name: str, ctx: Context) -> str | None:
    logging.getLogger("apart").info("at work apart")
    return ctx.traceparent
