"""Handlers whose modules and resources do not work where they run."""

from collections.abc import AsyncIterator

from backhaul import Service


class Model:
    """Never there."""


service = Service("test")


@service.resource
async def model() -> AsyncIterator[Model]:
    raise OSError("no such file")
    yield  # type: ignore[unreachable]


@service.handler("test.model", run_in="process")
def with_model(nothing: None, model: Model) -> None:
    raise AssertionError("it must not be called")
