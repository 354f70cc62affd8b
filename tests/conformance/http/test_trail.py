"""Who did what, as the log tells it."""

import json
import logging

import pytest

from backhaul.wiring.logs import _Json
from tests.conformance.http.keys import new_key
from tests.conformance.http.stage import KIND, Stage, body


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "backhaul.audit")
    return caplog


def trail(told: pytest.LogCaptureFixture) -> list[tuple[str, str | None]]:
    lines = [json.loads(_Json().format(record)) for record in told.records if record.name == "backhaul.audit"]
    return [(line["deed"], line["subject"]) for line in lines]


async def test_what_is_done_with_a_key_is_told_and_what_is_read_or_refused_is_not(
    stage: Stage, told: pytest.LogCaptureFixture
) -> None:
    key, headers = await new_key(stage, name="ci")
    task_id = (await stage.http.post("/v1/tasks", json=body(), headers=headers)).json()["id"]
    await stage.http.get(f"/v1/tasks/{task_id}", headers=headers)
    await stage.http.post(f"/v1/tasks/{task_id}/retry", headers=headers)
    await stage.http.post(f"/v1/tasks/{task_id}/cancel", headers=headers)
    await stage.http.post(f"/v1/queues/{KIND.queue}/pause", headers=headers)
    await stage.http.delete(f"/v1/tasks/{task_id}", headers=headers)

    assert trail(told) == [
        ("submit", task_id),
        ("cancel", task_id),
        ("pause_queue", KIND.queue),
        ("delete", task_id),
    ]
    assert f"submit by key {key.id} (ci) of tenant default: {task_id}" in told.text
    assert headers["Authorization"].removeprefix("Bearer ") not in told.text


async def test_without_keys_there_is_nobody_to_tell_of(stage: Stage, told: pytest.LogCaptureFixture) -> None:
    await stage.submit()

    assert trail(told) == []
