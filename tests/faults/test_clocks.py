"""The clock of the database is set while tasks run, as by a time server that finds it wrong."""

import os
import signal
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import httpx
import pytest

from tests.acceptance.deployment import Deployment, answers, submitted, succeeded
from tests.acceptance.pace import listening
from tests.support.databases import database_name

pytestmark = pytest.mark.timeout(150)

LEASE = {"BACKHAUL_LEASE": "4s", "BACKHAUL_HEARTBEAT": "500ms"}
# Our schema is looked through before PostgreSQL's own, and after that of the platform's tables.
SETTABLE = """
CREATE SCHEMA settable;
CREATE TABLE settable.clock (ahead interval NOT NULL);
INSERT INTO settable.clock VALUES ('0');
CREATE FUNCTION settable.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
  AS 'SELECT pg_catalog.clock_timestamp() + ahead FROM settable.clock';
ALTER DATABASE "{database}" SET search_path = public, settable, pg_catalog;
"""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    await connection.execute(SETTABLE.format(database=database_name(database_url)))
    yield connection
    await connection.close()


async def test_nothing_is_taken_away_from_who_is_alive(
    amqp_url: str, database_url: str, database: asyncpg.Connection
) -> None:
    async with Deployment(amqp_url, database_url, **LEASE) as deployment, listening() as pace:
        deployment.ledger()
        first = deployment.worker()
        gateway = await deployment.gateway()
        await answers(f"{gateway.url}/v1/kinds", lambda page: page["data"])
        task_id = await submitted(gateway, "probe.steps", port=pace.port, count=1)
        await pace.walker()
        first.kill()
        second = deployment.worker()
        walker = await pace.walker()  # the reaper takes leases away by now

        os.kill(second.pid, signal.SIGSTOP)  # no beat comes before the reaper has looked
        await database.execute("UPDATE settable.clock SET ahead = $1", timedelta(hours=1))
        for _ in range(2):
            await _looked_at(gateway.url)
        os.kill(second.pid, signal.SIGCONT)
        await walker.step()
        task = await succeeded(gateway, task_id)

    assert task["attempt"] == 2


async def _looked_at(url: str) -> None:
    """Return when the reaper has found a task that is due. It looks for lapsed leases as often."""
    async with httpx.AsyncClient(base_url=url) as client:
        body = {"kind": "probe.echo", "input": {"value": "x"}, "delay": "500ms"}
        task_id = (await client.post("/v1/tasks", json=body)).json()["id"]
    await answers(f"{url}/v1/tasks/{task_id}", lambda task: task["status"] == "queued")
