from dataclasses import replace
from datetime import UTC, datetime, timedelta

from backhaul.core.rendering import gap_event_json, page_json, snapshot_event_json, task_json
from backhaul.core.task.record import RawJson, Record, Snapshot
from backhaul_contracts import codec
from backhaul_contracts.events import Event
from backhaul_contracts.ids import TaskId
from backhaul_contracts.tasks import Status, Task, TaskPage

AT = datetime(2030, 1, 1, 8, 0, 0, 120_000, tzinfo=UTC)
TASK_ID = TaskId("tsk_01m86m4bnpe27a597p8ew55k2g")

BARE = Snapshot(
    Record(
        id=TASK_ID,
        tenant="default",
        kind="digest.summarise",
        version="1",
        queue="digest",
        status=Status.QUEUED,
        timeout=timedelta(minutes=10),
        grace=timedelta(seconds=5),
        max_attempts=3,
        retry_base=timedelta(seconds=1),
        retry_cap=timedelta(minutes=5),
        seq=2,
        created_at=AT,
    ),
    input=RawJson('{"text":"One."}'),
)
FULL = Snapshot(
    replace(
        BARE.record,
        status=Status.CANCELLED,
        tenant='a "tenant"',
        priority=-5,
        key='doc "17" \u20ac\n',
        metadata=RawJson('{"team":"bl\\u00fce"}'),
        parent_id="tsk_01m86m4bnpe27a597p8ew55k2h",
        replay_of="tsk_01m86m4bnpe27a597p8ew55k2j",
        attempt=2,
        progress=RawJson('{"done":40.0,"total":100.0,"note":"embedding"}'),
        error=RawJson('{"code":"lost","title":"t","detail":null,"retryable":true,"attempt":1,"trace_id":null}'),
        scheduled_for=AT,
        started_at=AT,
        finished_at=AT,
        expires_at=AT,
        retained_until=AT,
        cancel_requested_at=AT,
        cancel_reason="not needed\u2028",
        cancel_outcome="unconfirmed",
    ),
    input=RawJson('{"n":123456789012345678901234567890,"x":1.0}'),
    result=RawJson("[1e5]"),
)

BARE_JSON = (
    '{"id":"tsk_01m86m4bnpe27a597p8ew55k2g","kind":"digest.summarise","status":"queued","done":false,'
    '"attempt":0,"max_attempts":3,"seq":2,"progress":null,"input":{"text":"One."},"result":null,"error":null,'
    '"tenant":"default","queue":"digest","priority":0,"key":null,"metadata":{},"parent_id":null,"replay_of":null,'
    '"created_at":"2030-01-01T08:00:00.120Z","scheduled_for":null,"started_at":null,"finished_at":null,'
    '"expires_at":null,"retained_until":null,"cancel":null,'
    '"links":{"self":"/v1/tasks/tsk_01m86m4bnpe27a597p8ew55k2g",'
    '"events":"/v1/tasks/tsk_01m86m4bnpe27a597p8ew55k2g/events",'
    '"result":"/v1/tasks/tsk_01m86m4bnpe27a597p8ew55k2g/result",'
    '"cancel":"/v1/tasks/tsk_01m86m4bnpe27a597p8ew55k2g/cancel",'
    '"stream":"/v1/tasks/tsk_01m86m4bnpe27a597p8ew55k2g/events"}}'
)


def test_a_task_is_rendered_byte_by_byte_as_ever() -> None:
    assert task_json(BARE) == BARE_JSON


def test_every_field_of_a_task_is_rendered_as_its_contract_says() -> None:
    for snapshot in (BARE, FULL):
        rendered = codec.loads(task_json(snapshot))

        assert list(rendered) == list(Task.model_fields)
        assert rendered == Task.model_validate(rendered).model_dump(mode="json")


def test_texts_are_escaped_and_times_are_whole_milliseconds() -> None:
    task = Task.model_validate_json(task_json(FULL))

    assert (task.tenant, task.key) == ('a "tenant"', 'doc "17" \u20ac\n')
    assert task.cancel is not None
    assert (task.cancel.reason, task.cancel.outcome, task.cancel.requested_at) == (
        "not needed\u2028",
        "unconfirmed",
        AT,
    )


def test_payloads_are_passed_on_as_they_are_stored() -> None:
    rendered = task_json(FULL)

    assert '"input":{"n":123456789012345678901234567890,"x":1.0},"result":[1e5]' in rendered
    assert '"metadata":{"team":"bl\\u00fce"}' in rendered


def test_a_list_is_a_page() -> None:
    page = TaskPage.model_validate_json(page_json([task_json(BARE), task_json(FULL)], "next"))

    assert [task.status for task in page.data] == ["queued", "cancelled"]
    assert page.next_cursor == "next"
    assert page_json([], None) == b'{"data":[],"next_cursor":null}'


def test_the_events_that_hold_a_task_are_events() -> None:
    snapshot = Event.model_validate_json(snapshot_event_json(FULL, AT))
    gap = Event.model_validate_json(gap_event_json(FULL, AT))

    assert (snapshot.type, gap.type) == ("task.snapshot", "stream.gap")
    assert (snapshot.seq, snapshot.attempt, snapshot.time) == (2, 2, AT)
    assert snapshot.data == gap.data == codec.loads(task_json(FULL))
