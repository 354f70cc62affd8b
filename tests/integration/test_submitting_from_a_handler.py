"""A handler submits further tasks: through the same door as everyone, once however often it runs."""

import pytest

from backhaul import Context, Retry, Service
from backhaul.testing import Harness

pytestmark = pytest.mark.timeout(60)

service = Service("family", version="1.0.0", slots=4)


@service.handler("family.child")
async def child(name: str) -> str:
    return f"{name} is done"


@service.handler("family.parent")
async def parent(names: list[str], ctx: Context) -> list[str]:
    ids = [await ctx.submit("family.child", name) for name in names]
    if ctx.attempt == 1:
        raise Retry(after="0s", reason="to see whether the children come twice")
    return ids


async def test_children_of_a_repeated_parent_are_submitted_once() -> None:
    async with Harness(service) as platform:
        task = await platform.submit("family.parent", ["Ada", "Grace"])

        ids = await task.result(timeout="20s")

        children = [child async for child in platform.client.list(parent_id=task.id)]
        results = [await child.result(timeout="20s") for child in children]
        kept = [snapshot.record for snapshot in await platform.platform.store.snapshots(ids)]
    assert [record.replies for record in kept] == [None, None]
    assert task.state.attempt == 2
    assert sorted(ids) == sorted(child.id for child in children)
    assert sorted(results) == ["Ada is done", "Grace is done"]
