"""Accepting: durable at once, one task for each key."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backhaul.core.ports.dispatch import Token
from backhaul.core.task.commands import Cancel
from backhaul.core.task.record import Draft, RawJson
from backhaul.store import SqlStore
from backhaul_contracts.ids import new_task_id
from backhaul_contracts.tasks import Status
from tests.conformance.store.given import FUTURE, accepted, advanced, current, draft, log, story


async def test_a_new_task_is_kept_as_it_was_drafted(store: SqlStore) -> None:
    wanted = draft(
        input='{"text":"…"}',
        key="doc-17",
        priority=-3,
        metadata=RawJson('{"colour":"blue"}'),
        parent_id=new_task_id(),
        replay_of=new_task_id(),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        max_attempts=7,
        retry_base=timedelta(milliseconds=1500),
        expires_at=FUTURE,
    )

    (admission,), _ = await store.accept([wanted])

    assert admission.snapshot == await current(store, wanted.record.id)
    assert admission.snapshot.record == replace(wanted.record, seq=2)
    assert admission.snapshot.input == wanted.input
    assert not admission.replayed


async def test_a_new_task_begins_its_log_and_owes_a_token(store: SqlStore) -> None:
    wanted = draft()

    _, dispatch = await store.accept([wanted])

    assert dispatch.tokens == (Token("test", wanted.record.id),)
    assert [happening.event for happening in dispatch.happenings] == await log(store, wanted.record.id)
    assert await story(store, wanted.record.id) == ["accepted", "queued"]
    assert dispatch.outbox_id is not None


async def test_a_scheduled_task_owes_no_token_yet(store: SqlStore) -> None:
    wanted = draft(scheduled_for=FUTURE)

    (admission,), dispatch = await store.accept([wanted])

    assert admission.snapshot.record.status is Status.SCHEDULED
    assert dispatch.tokens == ()
    assert await story(store, wanted.record.id) == ["accepted", "scheduled"]


async def test_moments_and_lengths_are_kept_in_whole_milliseconds(store: SqlStore) -> None:
    wanted = draft(
        created_at=datetime(2026, 1, 31, 8, 0, 0, 123_456, tzinfo=UTC),
        expires_at=datetime(2026, 1, 31, 9, 0, 0, 999_999, tzinfo=UTC),
        retry_base=timedelta(microseconds=1_500),
    )

    (admission,), dispatch = await store.accept([wanted])

    record = admission.snapshot.record
    assert record.created_at == datetime(2026, 1, 31, 8, 0, 0, 123_000, tzinfo=UTC)
    assert record.expires_at == datetime(2026, 1, 31, 9, 0, 0, 999_000, tzinfo=UTC)
    assert record.retry_base == timedelta(milliseconds=1)
    assert (await current(store, record.id)).record == record
    assert dispatch.happenings[0].event == (await log(store, record.id))[0]


@pytest.mark.parametrize("text", ['"quoted" \\ / \'', "\\u0000", "😀 ünï\u2028", "%s $1 :rows {0}", "x" * 70_000])
async def test_any_text_comes_back_as_it_was(store: SqlStore, text: str) -> None:
    wanted = draft(input=f'{{"text":"{text}"}}', key=text[:200])

    (admission,), _ = await store.accept([wanted])

    kept = await current(store, wanted.record.id)
    assert kept == admission.snapshot
    assert (kept.input, kept.record.key) == (wanted.input, wanted.record.key)


async def test_a_thousand_tasks_are_accepted_at_once_and_answered_in_order(store: SqlStore) -> None:
    drafts = [draft(priority=n % 7) for n in range(1_000)]

    admissions, dispatch = await store.accept(drafts)

    assert [admission.snapshot.record.id for admission in admissions] == [one.record.id for one in drafts]
    assert len(dispatch.tokens) == 1_000


async def test_a_known_key_stands_for_the_task_as_it_is_now(store: SqlStore) -> None:
    first, again = draft(key="k"), draft(key="k")
    await store.accept([first])
    record = await advanced(store, Cancel(first.record.id))

    (admission,), dispatch = await store.accept([again])

    assert admission.snapshot.record == record
    assert (admission.replayed, admission.conflict) == (True, False)
    assert (dispatch.outbox_id, dispatch.tokens, dispatch.happenings) == (None, (), ())


async def test_a_known_key_with_another_input_is_a_conflict(store: SqlStore) -> None:
    first, other = draft(key="k", fingerprint="a"), draft(key="k", fingerprint="b")
    await store.accept([first])

    (admission,), _ = await store.accept([other])

    assert admission.conflict
    assert admission.snapshot.record.id == first.record.id


async def test_a_repeated_key_joins_the_first_draft_of_its_batch(store: SqlStore) -> None:
    first, second, other = draft(key="k"), draft(key="k"), draft(key="k", fingerprint="another")

    admissions, dispatch = await store.accept([first, draft(), second, other])

    same = [admissions[n].snapshot.record.id for n in (0, 2, 3)]
    assert same == [first.record.id] * 3
    assert [admissions[n].replayed for n in (0, 2, 3)] == [False, True, True]
    assert [admissions[n].conflict for n in (0, 2, 3)] == [False, False, True]
    assert len(dispatch.tokens) == 2


async def test_a_key_belongs_to_its_tenant(store: SqlStore) -> None:
    ours, theirs = draft(key="k"), draft(key="k", tenant="theirs")

    admissions, _ = await store.accept([ours, theirs])

    assert [admission.replayed for admission in admissions] == [False, False]


async def test_a_key_is_free_again_when_its_task_is_deleted(store: SqlStore) -> None:
    first, again = draft(key="k"), draft(key="k")
    await store.accept([first])
    await advanced(store, Cancel(first.record.id))
    await store.forget("default", first.record.id)

    (admission,), _ = await store.accept([again])

    assert admission.snapshot.record.id == again.record.id
    assert not admission.replayed


@pytest.mark.parametrize("key", [None, "k"])
async def test_asking_again_after_an_unknown_outcome_makes_no_second_task(store: SqlStore, key: str | None) -> None:
    wanted = draft(key=key)
    first, _ = await store.accept([wanted])

    again, dispatch = await store.accept([wanted])

    assert again == first
    assert dispatch.tokens == ()
    assert await story(store, wanted.record.id) == ["accepted", "queued"]


async def test_one_task_for_each_key_however_many_ask_at_once(store: SqlStore, other: SqlStore) -> None:
    """I12. Each batch has the keys in another order, so a careless store would also wait in circles."""
    keys = [f"key-{n}" for n in range(12)]

    def batch(turn: int) -> list[Draft]:
        ordered = keys[turn:] + keys[:turn]
        return [draft(key=key) for key in (ordered if turn % 2 else reversed(ordered))]

    answers = await asyncio.gather(*((store, other)[turn % 2].accept(batch(turn)) for turn in range(12)))

    admissions = [admission for found, _ in answers for admission in found]
    by_key = {key: {one.snapshot.record.id for one in admissions if one.snapshot.record.key == key} for key in keys}
    assert [len(found) for found in by_key.values()] == [1] * len(keys)
    assert sum(not admission.replayed for admission in admissions) == len(keys)
    assert sum(len(dispatch.tokens) for _, dispatch in answers) == len(keys)


async def test_nothing_is_accepted_for_nothing(store: SqlStore) -> None:
    admissions, dispatch = await store.accept([])

    assert admissions == []
    assert dispatch.outbox_id is None


async def test_a_batch_is_durable_as_a_whole(store: SqlStore, other: SqlStore) -> None:
    records = await accepted(store, *(draft() for _ in range(20)))

    seqs = await other.seqs([record.id for record in records])

    assert seqs == {record.id: 2 for record in records}


async def test_records_are_read_without_payloads_and_those_that_do_not_exist_left_out(store: SqlStore) -> None:
    first, second = await accepted(store, draft(key="k"), draft())

    found = await store.records([second.id, new_task_id(), first.id])

    assert sorted(found, key=lambda record: record.id) == sorted([first, second], key=lambda record: record.id)
    assert await store.records([]) == []
