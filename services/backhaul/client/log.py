"""The JSON log of a task's events: the same events as on the stream, to be read and not followed."""

from collections.abc import AsyncGenerator

from backhaul.client import answers
from backhaul.client.connection import Connection
from backhaul_contracts.events import Event, EventPage

PAGE = 1000


async def page(connection: Connection, task_id: str, after: int) -> list[Event]:
    """The next events behind `after`, at most `PAGE`."""
    response = await connection.call(
        "GET",
        f"/v1/tasks/{task_id}/events",
        params={"after": after, "limit": PAGE},
        headers={"Accept": "application/json"},
    )
    return answers.value(EventPage, response).data


async def so_far(connection: Connection, task_id: str) -> AsyncGenerator[Event]:
    """All events there are now."""
    after = 0
    while events := await page(connection, task_id, after):
        for event in events:
            yield event
        after = events[-1].seq
        if len(events) < PAGE:
            return
