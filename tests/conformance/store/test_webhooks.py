"""Webhooks in the store: deliveries that follow from events, and what becomes of them."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backhaul.core.ports.webhooks import Delivery, DeliveryQuery, DeliveryState, Endpoint, Mail, Postmark
from backhaul.core.task.commands import Cancel
from backhaul.core.task.record import RawJson
from backhaul.store import SqlStore, duemail
from backhaul_contracts.ids import TaskId, new_id
from tests.conformance.store.given import draft

LEASE = timedelta(seconds=60)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALL = 1_000


def webhook(url: str = "https://hooks.example/a", *events: str) -> RawJson:
    return RawJson(json.dumps({"url": url, "events": events or ["task.cancelled"], "secret": "sealed"}))


def endpoint(**fields: Any) -> Endpoint:
    values: dict[str, Any] = {
        "id": new_id("whe"),
        "tenant": "default",
        "url": "https://hooks.example/all",
        "events": ("task.cancelled",),
        "description": None,
        "secret": "sealed endpoint",
        "created_at": NOW,
    }
    return Endpoint(**{**values, **fields})


async def taken(store: SqlStore, room: int = ALL, *, usual: int = ALL, **most: int) -> list[Mail]:
    return await store.take_mail(room, most, usual, LEASE)


async def ended(store: SqlStore, **fields: Any) -> TaskId:
    """A task that has just been cancelled."""
    made = draft(**fields)
    await store.accept([made])
    await store.advance([Cancel(made.record.id, None)])
    return made.record.id


def mark(mail: Mail, **fields: Any) -> Postmark:
    values: dict[str, Any] = {"state": DeliveryState.DELIVERED, "tried": mail.tried + 1, "attempt": '{"n":1}'}
    return Postmark(mail.id, mail.claim, **{**values, **fields})


async def only(store: SqlStore, task_id: TaskId) -> Delivery:
    (delivery,) = await store.deliveries(DeliveryQuery("default", task_id=task_id))
    return delivery


async def test_an_event_that_a_tasks_webhook_wants_becomes_a_delivery_with_the_task_as_it_is(store: SqlStore) -> None:
    task_id = await ended(store, webhook=webhook(), input='{"n":"é"}')

    (mail,) = await taken(store)

    body = json.loads(mail.body)
    assert (mail.event, mail.url, mail.secret) == ("task.cancelled", "https://hooks.example/a", "sealed")
    assert (mail.target, mail.tried, mail.endpoint_id) == ("https://hooks.example", 0, None)
    assert body["type"] == "task.cancelled"
    assert body["data"]["id"] == task_id
    assert body["data"]["status"] == "cancelled"
    assert body["data"]["input"] == {"n": "é"}
    assert body["data"]["result"] is None


async def test_events_that_nobody_asked_for_become_none(store: SqlStore) -> None:
    await store.add_endpoint(endpoint(events=("task.succeeded",)), ALL)
    await store.add_endpoint(endpoint(tenant="another"), ALL)
    await store.add_endpoint(endpoint(disabled="asked"), ALL)

    await ended(store)
    await ended(store, webhook=webhook("https://hooks.example/a", "task.expired"))

    assert await taken(store) == []


async def test_every_endpoint_of_the_tenant_that_wants_an_event_gets_it(store: SqlStore) -> None:
    first, second = endpoint(events=("task.accepted", "task.cancelled")), endpoint()
    await store.add_endpoint(first, ALL)
    await store.add_endpoint(second, ALL)

    await ended(store, webhook=webhook())

    mails = await taken(store)
    assert sorted((mail.target, mail.event) for mail in mails) == sorted(
        [
            (first.id, "task.accepted"),
            (first.id, "task.cancelled"),
            (second.id, "task.cancelled"),
            ("https://hooks.example", "task.cancelled"),
        ]
    )
    assert {mail.secret for mail in mails} == {"sealed endpoint", "sealed"}


async def test_what_is_taken_is_nobody_elses_until_its_lease_is_over(store: SqlStore, other: SqlStore) -> None:
    await ended(store, webhook=webhook())
    (dead,) = await store.take_mail(ALL, {}, ALL, timedelta(0))

    (mail,) = await taken(other)

    assert mail.id == dead.id
    assert await taken(store) == []


async def test_a_note_counts_only_under_the_claim_that_is_in_force(store: SqlStore, other: SqlStore) -> None:
    task_id = await ended(store, webhook=webhook())
    (late,) = await store.take_mail(ALL, {}, ALL, timedelta(0))
    (mail,) = await taken(other)

    await store.note_mail([mark(late)])
    before = await only(store, task_id)
    await other.note_mail([mark(mail)])
    after = await only(store, task_id)

    assert (before.state, json.loads(before.tries)) == ("pending", [])
    assert (after.state, json.loads(after.tries), after.next_at) == ("delivered", [{"n": 1}], None)


async def test_a_failed_try_comes_up_again_when_its_time_has_come(store: SqlStore) -> None:
    task_id = await ended(store, webhook=webhook())
    (mail,) = await taken(store)

    await store.note_mail([mark(mail, state=DeliveryState.PENDING, next_in=timedelta(hours=1))])
    waiting = await only(store, task_id), await taken(store)
    await store.redeliver(DeliveryQuery("default", task_id=task_id), mail.id)
    (again,) = await taken(store)
    await store.note_mail([mark(again, state=DeliveryState.PENDING, attempt='{"n":2}', next_in=timedelta(0))])
    (third,) = await taken(store)

    assert waiting[0].next_at is not None
    assert waiting[1] == []
    assert (again.id, again.tried, again.body) == (mail.id, 0, mail.body)
    assert third.tried == 1
    assert json.loads((await only(store, task_id)).tries) == [{"n": 1}, {"n": 2}]


async def test_a_long_row_of_deliveries_to_one_target_hides_no_other(store: SqlStore) -> None:
    for _ in range(5):
        await ended(store, webhook=webhook("https://slow.example/"))
    await ended(store, webhook=webhook("https://quick.example/"))

    few = await taken(store, usual=2)
    rest = await store.take_mail(ALL, {"https://slow.example": 0}, 2, LEASE)
    more = await store.take_mail(1, {"https://slow.example": 5}, 2, LEASE)

    assert sorted(mail.target for mail in few) == ["https://quick.example"] + ["https://slow.example"] * 2
    assert rest == []
    assert [mail.target for mail in more] == ["https://slow.example"]


async def test_no_row_is_so_long_that_it_hides_others_for_good(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duemail, "MOST_DELIVERIES", 2)
    monkeypatch.setattr(duemail, "MOST_TARGETS", 1)
    for _ in range(3):
        await ended(store, webhook=webhook("https://slow.example/"))

    found = []
    for _ in range(2):  # the second time the looks begin anew
        for name in ("a", "b"):
            await ended(store, webhook=webhook(f"https://quick-{name}.example/"))
        looks = [await store.take_mail(ALL, {"https://slow.example": 0}, 2, LEASE) for _ in range(4)]
        found.append(sorted(mail.target for look in looks for mail in look))

    assert found == [["https://quick-a.example", "https://quick-b.example"]] * 2


async def test_a_tenant_with_very_many_targets_hides_no_other_tenant(store: SqlStore) -> None:
    for n in range(5):
        await ended(store, webhook=webhook(f"https://dead-{n}.example/"), tenant="crowd")
    await ended(store, webhook=webhook("https://hooks.example/"), tenant="shop")

    first = await taken(store, 2)
    rest = await taken(store)

    assert sorted(mail.tenant for mail in first) == ["crowd", "shop"]
    assert [mail.tenant for mail in rest] == ["crowd"] * 4


async def test_an_endpoint_that_wants_no_more_is_disabled_and_nothing_is_left_on_its_way(store: SqlStore) -> None:
    gone = endpoint()
    await store.add_endpoint(gone, ALL)
    first, second = await ended(store), await ended(store)
    mail, *_ = await taken(store, usual=1)

    await store.note_mail([mark(mail, state=DeliveryState.FAILED, gone=True)])

    found = await store.endpoint("default", gone.id)
    assert found is not None
    assert found.disabled == "gone"
    assert [(await only(store, task_id)).state for task_id in (first, second)] == ["failed", "failed"]
    assert await ended(store)
    assert await taken(store) == []


async def test_who_wants_no_more_is_not_disabled_by_a_try_that_counts_no_longer(store: SqlStore) -> None:
    one = endpoint()
    await store.add_endpoint(one, ALL)
    await ended(store)
    (late,) = await taken(store)
    await store.redeliver(DeliveryQuery("default", endpoint_id=one.id), late.id)

    await store.note_mail([mark(late, state=DeliveryState.FAILED, gone=True)])

    assert await store.endpoint("default", one.id) == one
    assert [mail.id for mail in await taken(store)] == [late.id]


async def test_changes_at_the_same_time_do_not_undo_each_other(store: SqlStore, other: SqlStore) -> None:
    one = endpoint()
    await store.add_endpoint(one, ALL)

    await asyncio.gather(
        store.change_endpoint("default", one.id, lambda found: replace(found, description="mine")),
        other.change_endpoint("default", one.id, lambda found: replace(found, disabled="asked")),
        store.change_endpoint("default", one.id, lambda found: replace(found, url="https://new.example/")),
    )

    expected = replace(one, description="mine", disabled="asked", url="https://new.example/")
    assert await store.endpoint("default", one.id) == expected


async def test_a_tenant_has_only_so_many_endpoints_however_many_are_added_at_once(
    store: SqlStore, other: SqlStore
) -> None:
    first, foreign, *more = (endpoint(), endpoint(tenant="another"), *(endpoint() for _ in range(4)))

    added = [await store.add_endpoint(one, 3) for one in (first, foreign)]
    crowd = await asyncio.gather(*(at.add_endpoint(one, 3) for at, one in zip([store, other] * 2, more, strict=True)))
    again = await store.add_endpoint(first, 3)

    assert added == [True, True]
    assert sorted(crowd) == [False, False, True, True]
    assert again
    assert len(await store.endpoints("default", None, ALL)) == 3


async def test_a_secret_that_was_replaced_signs_along_until_its_time_is_over(store: SqlStore) -> None:
    one = endpoint()
    await store.add_endpoint(one, ALL)
    now = datetime.now(UTC)
    for hours, retired in ((1, "sealed endpoint"), (-1, None)):
        until = (now + timedelta(hours=hours)).replace(microsecond=0)
        rotated = replace(one, secret="new", retired_secret="sealed endpoint", retired_until=until)
        assert await store.change_endpoint("default", one.id, lambda _, to=rotated: to) == rotated  # type: ignore[misc]

        await ended(store)

        (mail,) = await taken(store)
        assert (mail.secret, mail.retired_secret) == ("new", retired)


async def test_endpoints_are_listed_changed_and_removed_within_their_tenant(store: SqlStore) -> None:
    first, second, foreign = endpoint(), endpoint(description="two"), endpoint(tenant="another")
    for one in (first, second, foreign):
        await store.add_endpoint(one, ALL)
    await store.add_endpoint(first, ALL)
    task_id = await ended(store)

    changed = endpoint(id=first.id, url="https://new.example/", events=("task.failed",), disabled="asked")
    assert await store.change_endpoint("default", first.id, lambda _: changed) == changed
    assert await store.change_endpoint("default", foreign.id, lambda _: changed) is None
    assert await store.endpoint("default", first.id) == changed
    assert await store.endpoint("default", foreign.id) is None
    assert [one.id for one in await store.endpoints("default", None, 10)] == [second.id, first.id]
    assert [one.id for one in await store.endpoints("default", second.id, 10)] == [first.id]
    assert not await store.remove_endpoint("default", foreign.id)
    assert await store.remove_endpoint("default", first.id)
    assert [one.endpoint_id for one in await store.deliveries(DeliveryQuery("default", task_id=task_id))] == [second.id]


async def test_what_is_recorded_for_an_endpoint_while_it_is_disabled_or_removed_is_not_sent(store: SqlStore) -> None:
    disabled, removed = endpoint(disabled="asked"), endpoint()
    await store.add_endpoint(disabled, ALL)
    for one in (disabled, removed):
        late = Delivery(
            new_id("whd"), "default", one.id, None, "e", one.url, DeliveryState.PENDING, RawJson("[]"), NOW, NOW
        )
        await store.add_delivery(late, "{}")

    assert await taken(store) == []
    for one in (disabled, removed):
        (found,) = await store.deliveries(DeliveryQuery("default", endpoint_id=one.id))
        assert found.state == "failed"


async def test_the_first_proposal_stays_the_secret_of_its_tenant(store: SqlStore, other: SqlStore) -> None:
    assert await store.tenant_secret("default", "one") == "one"
    assert await other.tenant_secret("default", "two") == "one"
    assert await other.tenant_secret("another", "two") == "two"


async def test_a_test_is_a_delivery_that_follows_from_no_event(store: SqlStore) -> None:
    one = endpoint()
    await store.add_endpoint(one, ALL)
    test = Delivery(
        new_id("whd"), "default", one.id, None, "webhook.test", one.url, DeliveryState.PENDING, RawJson("[]"), NOW, NOW
    )

    await store.add_delivery(test, '{"type":"webhook.test"}')

    (mail,) = await taken(store)
    assert (mail.event, mail.body, mail.url) == ("webhook.test", '{"type":"webhook.test"}', one.url)
    assert [found.id for found in await store.deliveries(DeliveryQuery("default", endpoint_id=one.id))] == [test.id]


async def test_deliveries_outlast_their_task_unless_somebody_deletes_it(store: SqlStore) -> None:
    deleted = await ended(store, webhook=webhook())
    await store.forget("default", deleted)

    assert await store.deliveries(DeliveryQuery("default", task_id=deleted)) == []
    assert await taken(store) == []


async def test_deliveries_that_ended_long_ago_are_purged(store: SqlStore) -> None:
    await ended(store, webhook=webhook())
    pending = await ended(store, webhook=webhook())
    mail, _ = sorted(await taken(store), key=lambda mail: mail.id)
    await store.note_mail([mark(mail)])

    assert await store.purge_deliveries(timedelta(hours=1), ALL) == 0
    assert await store.purge_deliveries(timedelta(0), ALL) == 1
    assert (await only(store, pending)).state == "pending"
