"""Nodes of RabbitMQ that are one cluster: installed ones, else in containers."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, closing

from tests.support.boxes import ContainerNetwork
from tests.support.containers import ContainerRabbitMQ, containers_are_wanted, docker_answers
from tests.support.missing import ServerMissingError
from tests.support.rabbitmq import PrivateRabbitMQ, installed_rabbitmq


@asynccontextmanager
async def rabbitmq_cluster(size: int) -> AsyncIterator[list[PrivateRabbitMQ]]:
    """Running nodes, each with its management API, that tests may stop, kill and freeze.

    :raises ServerMissingError: RabbitMQ is neither installed nor to be had from Docker.
    """
    with ExitStack() as stack:
        first, *others = nodes = _nodes(size, stack)
        for node in nodes:
            stack.enter_context(closing(node))
        first.start()  # with the epmd that installed ones need, all of them
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda node: node.start(), others))
        for node in others:
            await node.join(first)
        yield nodes


def _nodes(size: int, stack: ExitStack) -> list[PrivateRabbitMQ]:
    if installed_rabbitmq() is not None and not containers_are_wanted():
        first = PrivateRabbitMQ(management=True)
        return [first, *(PrivateRabbitMQ(management=True, peer=first) for _ in range(size - 1))]
    if docker_answers():
        network = stack.enter_context(closing(ContainerNetwork()))
        return [ContainerRabbitMQ(network=network) for _ in range(size)]
    raise ServerMissingError("no RabbitMQ: install the package rabbitmq-server, or start Docker")
