"""What handlers share is opened once a worker, and closed at its end."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

import pytest

from backhaul import Service
from backhaul.core.errors import ConfigurationError
from tests.unit.worker.stage import play


class Pool:
    def __init__(self, name: str) -> None:
        self.name = name


class Model:
    pass


async def test_a_resource_is_opened_once_and_closed_in_reverse_order() -> None:
    service = Service("test")
    happened: list[str] = []

    @service.resource
    async def pool() -> AsyncIterator[Pool]:
        happened.append("pool opens")
        yield Pool("it")
        happened.append("pool closes")

    @service.resource
    async def model() -> AsyncGenerator[Model, None]:
        happened.append("model opens")
        yield Model()
        happened.append("model closes")

    @service.handler("test.async")
    async def handle(nothing: None, pool: Pool) -> str:
        return pool.name

    @service.handler("test.thread")
    def handle_in_thread(nothing: None, *, shared: Pool) -> str:
        return shared.name

    async with play(service) as stage:
        first = await stage.ledger.outcome(await stage.ledger.offer("test.async"))
        second = await stage.ledger.outcome(await stage.ledger.offer("test.thread"))

    assert (first.result, second.result) == ("it", "it")
    assert happened == ["pool opens", "model opens", "model closes", "pool closes"]


async def test_a_resource_that_cannot_be_opened_ends_the_worker_with_one_sentence() -> None:
    service = Service("test")

    @service.resource
    async def pool() -> AsyncIterator[Pool]:
        raise OSError("no such host")
        yield  # type: ignore[unreachable]

    @service.handler("test.it")
    async def handle(nothing: None, pool: Pool) -> None:
        return None

    with pytest.RaisesGroup(
        pytest.RaisesExc(ConfigurationError, match=r"pool cannot be opened: OSError: no such host")
    ):
        async with play(service, announced=False) as stage:
            await stage.run


async def plain() -> Pool:
    return Pool("")


async def untyped() -> AsyncIterator:  # type: ignore[type-arg]
    yield Pool("")


async def with_parameter(name: str) -> AsyncIterator[Pool]:
    yield Pool(name)


def blocking() -> Iterator[Pool]:
    yield Pool("")


@pytest.mark.parametrize(
    ("opener", "sentence"),
    [
        (plain, "with one yield"),
        (blocking, "with one yield"),
        (untyped, "annotate it -> AsyncIterator"),
        (with_parameter, "takes none"),
    ],
)
def test_what_is_no_resource_is_refused(opener: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Service("test").resource(opener)


def test_two_resources_of_one_type_are_refused() -> None:
    service = Service("test")

    async def one() -> AsyncIterator[Pool]:
        yield Pool("")

    service.resource(one)

    with pytest.raises(ConfigurationError, match="provides Pool, as another one does"):
        service.resource(one)
