"""The JSON log of a task's events: the same events as on the stream, to be read and not followed."""

from collections.abc import AsyncGenerator

from backhaul.client import answers
from backhaul.client.connection import Connection
from backhaul_contracts.events import LARGEST_PAGE, Event, EventPage

PAGE = 1000


async def page(connection: Connection, task_id: str, after: int) -> list[Event]:
    """The next events behind `after`, at most `PAGE`."""
    events, _ = await _page(connection, task_id, after)
    return events


async def so_far(connection: Connection, task_id: str) -> AsyncGenerator[Event]:
    """All events there are now."""
    after, more = 0, True
    while more:
        events, more = await _page(connection, task_id, after)
        for event in events:
            yield event
            after = event.seq


async def _page(connection: Connection, task_id: str, after: int) -> tuple[list[Event], bool]:
    """The next events, and whether they are all that fits on a page: then there may be more."""
    response = await connection.call(
        "GET",
        f"/v1/tasks/{task_id}/events",
        params={"after": after, "limit": PAGE},
        headers={"Accept": "application/json"},
    )
    events = answers.value(EventPage, response).data
    return events, len(events) == PAGE or len(response.content) >= LARGEST_PAGE
