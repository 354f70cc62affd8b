"""Chaos for three quarters of a minute: each kind of fault at least once, under load, on servers of its own."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.faults.chaos import Wish, run
from tests.faults.evidence import keep
from tests.faults.plan import FaultKind
from tests.proof.observations import FinalTask, WebhookCame, WorkerLeft
from tests.support.postgresql import PrivatePostgreSQL
from tests.support.rabbitmq import PrivateRabbitMQ

pytestmark = pytest.mark.timeout(300)

WISH = Wish(seed=1137, length=timedelta(seconds=34), gap=timedelta(seconds=2.1), rate=6)


async def test_every_promise_is_kept_while_processes_links_and_servers_fail(
    private_rabbitmq: PrivateRabbitMQ, private_postgresql: PrivatePostgreSQL, tmp_path: Path
) -> None:
    done = await run(WISH, private_rabbitmq, private_postgresql)

    keep(done, tmp_path)  # pytest keeps it for a while
    assert [str(violation) for violation in done.violations] == []
    assert done.complaints == []
    assert {fault.kind for fault in done.inflicted} == set(FaultKind)
    assert len(done.history.of(FinalTask)) > 100
    assert len(done.history.of(WebhookCame)) > 100
    assert done.history.of(WorkerLeft)
