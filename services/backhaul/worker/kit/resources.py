"""Resources: what handlers share, opened once a worker and closed in reverse order at its end."""

import inspect
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from backhaul.core.errors import ConfigurationError

Opener = Callable[[], AsyncIterator[Any]]


@dataclass(frozen=True, slots=True)
class Resource:
    """`opener` yields one value of type `provides`."""

    opener: Opener
    provides: type

    def __str__(self) -> str:
        return f"resource {self.opener.__module__}.{self.opener.__qualname__}"


def define(opener: Opener, names: Mapping[str, Any]) -> Resource:
    """The resource that an async generator function is. Raises `ConfigurationError`."""
    name = f"resource {getattr(opener, '__qualname__', opener)}"
    if not inspect.isasyncgenfunction(opener):
        raise ConfigurationError(f"{name} is no async generator: write it as async def with one yield")
    if inspect.signature(opener).parameters:
        raise ConfigurationError(f"{name} has parameters: a resource takes none, let it read what it needs itself")
    return Resource(opener, _provides(name, opener, names))


def _provides(name: str, opener: Opener, names: Mapping[str, Any]) -> type:
    try:
        annotation = typing.get_type_hints(opener, localns=dict(names)).get("return")
    except NameError as error:
        raise ConfigurationError(
            f"{name} has an annotation that cannot be resolved ({error}): define it first"
        ) from error
    provided = typing.get_args(annotation)
    if typing.get_origin(annotation) not in (AsyncIterator, AsyncGenerator) or not provided:
        raise ConfigurationError(f"{name} does not say what it provides: annotate it -> AsyncIterator[TheType]")
    return typing.cast("type", provided[0])


@asynccontextmanager
async def opened(resources: Sequence[Resource]) -> AsyncIterator[dict[type, Any]]:
    """The values of all resources by their types. Raises `ConfigurationError` if one cannot be opened."""
    async with AsyncExitStack() as stack:
        values: dict[type, Any] = {}
        for resource in resources:
            values[resource.provides] = await open_into(stack, resource)
        yield values


async def open_into(stack: AsyncExitStack, resource: Resource) -> Any:
    """The value of a resource that is closed with `stack`. Raises `ConfigurationError` if it cannot be opened."""
    try:
        return await stack.enter_async_context(asynccontextmanager(resource.opener)())
    except Exception as error:  # code of the service: whatever it raises, the worker cannot start
        raise ConfigurationError(
            f"{resource} cannot be opened: {type(error).__name__}: {error}: repair what it needs and start again"
        ) from error
