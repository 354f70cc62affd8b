"""What declaring and looking promise, and where messages go that cannot be delivered."""

from datetime import timedelta
from typing import Any

import pytest

from backhaul.core.errors import ConfigurationError
from backhaul.core.messages.topology import (
    DEAD,
    SUBMIT,
    TASKS,
    UNROUTED,
    Binding,
    Exchange,
    ExchangeKind,
    Queue,
    Topology,
    mailbox,
    platform,
    task_queues,
)
from backhaul.core.ports.broker import Broker, Delivery
from tests.conformance.broker.ground import Ear, Ground, message, quiet, ready, to, until


async def test_the_platform_stands_as_declared(broker: Broker) -> None:
    topology = platform(4)

    await broker.declare(topology)
    await broker.declare(task_queues(["digest", "mail"]))

    assert await broker.check(topology) == []
    assert await broker.check(task_queues(["digest", "mail"])) == []


async def test_declaring_again_leaves_what_is_there_alone(broker: Broker) -> None:
    await broker.declare(task_queues_with_exchange())
    await broker.publish([to(TASKS, "digest", b"kept")])

    await broker.declare(task_queues_with_exchange())

    assert await broker.ready("backhaul.tasks.digest") == 1


async def test_what_is_missing_is_named(broker: Broker) -> None:
    misfits = await broker.check(platform(1))

    assert {misfit.thing for misfit in misfits} >= {f"exchange {SUBMIT}", f"queue {DEAD}", "queue backhaul.ledger.0"}
    assert {(misfit.fact, misfit.remedy) for misfit in misfits} == {("does not exist", "run `backhaul topology apply`")}
    assert await broker.ready(DEAD) is None


@pytest.mark.parametrize(
    "wanted",
    [
        Topology(queues=(Queue("one", dead_letter_to="two"),)),
        Topology(queues=(Queue("one", owned=True),)),
        Topology(exchanges=(Exchange("door", ExchangeKind.DIRECT),)),
        Topology(exchanges=(Exchange("door", ExchangeKind.TOPIC, alternate="spare"),)),
    ],
    ids=["dead letter", "owned", "kind", "alternate"],
)
async def test_what_is_different_is_named_and_not_changed(broker: Broker, wanted: Topology) -> None:
    await broker.declare(Topology(exchanges=(Exchange("door", ExchangeKind.TOPIC),)))

    [misfit] = await broker.check(wanted)
    with pytest.raises(ConfigurationError) as raised:
        await broker.declare(wanted)

    assert misfit.thing in str(raised.value)
    assert "other properties" in misfit.fact
    assert "delete it" in misfit.remedy
    await broker.publish([message(b"still here", queue="one")])


async def test_binding_to_an_exchange_that_is_missing_is_a_configuration_error(broker: Broker) -> None:
    with pytest.raises(ConfigurationError, match="absent"):
        await broker.declare(Topology(bindings=(Binding("absent", "one", "key"),)))

    await broker.publish([message(b"goes on", queue="one")])


async def test_a_submission_that_nobody_is_bound_for_is_kept(broker: Broker) -> None:
    await broker.declare(platform(1))

    await broker.publish([to(TASKS, "nobody", b"lost")])

    await ready(broker, UNROUTED, 1)


async def test_a_mailbox_is_bound_by_every_key(broker: Broker) -> None:
    await broker.declare(Topology(exchanges=(Exchange("live", ExchangeKind.DIRECT),)))

    await broker.declare(mailbox("live", "gateway-1", (str(key) for key in range(256))))

    await broker.publish([to("live", str(key), b"", persistent=False) for key in (0, 128, 255)])
    await ready(broker, "live.gateway-1", 3)


async def test_how_many_messages_wait_does_not_count_those_that_are_out(broker: Broker) -> None:
    await broker.publish([message(b"%d" % number, queue="one") for number in range(5)])
    ear = Ear()

    await broker.consume("one", ear, credit=2)
    await ear.count(2)

    await ready(broker, "one", 3)
    assert await broker.ready("two") == 0
    assert await broker.ready("nowhere") is None


async def test_taking_from_a_queue_that_is_missing_is_a_configuration_error(broker: Broker) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        await broker.get("nowhere", 1)


async def test_a_message_that_comes_back_too_often_goes_to_the_dead_letters(broker: Broker) -> None:
    await broker.declare(Topology(queues=(Queue("limited", dead_letter_to="two", delivery_limit=2),)))
    ear = Ear(lambda delivery: delivery.requeue())
    await broker.consume("limited", ear, credit=1)

    await broker.publish([message(b"poison", queue="limited", message_id="m", headers={"a": 1})])

    await ready(broker, "two", 1)
    assert [dict(delivery.headers).get("x-delivery-count") for delivery in ear.heard] == [None, 1, 2]
    [dead] = await broker.get("two", 5)
    assert (dead.body, dead.message_id, dead.headers["a"]) == (b"poison", "m", 1)
    assert _deaths(dead) == [("delivery_limit", "limited", ["limited"])]


async def test_deliveries_lost_with_their_consumer_count_too(broker: Broker) -> None:
    await broker.declare(Topology(queues=(Queue("limited", dead_letter_to="two", delivery_limit=1),)))
    await broker.publish([message(b"crasher", queue="limited")])

    for _ in range(2):
        taken = await _taken(broker, "limited")
        taken.requeue()

    await ready(broker, "two", 1)


async def test_an_expired_message_goes_to_the_dead_letters(broker: Broker) -> None:
    await broker.declare(Topology(queues=(Queue("short", dead_letter_to="two"),)))

    await broker.publish([message(b"late", queue="short", message_id="m", expiration=timedelta(milliseconds=20))])

    await ready(broker, "two", 1)
    [dead] = await broker.get("two", 5)
    assert (dead.body, dead.message_id, dead.expiration) == (b"late", "m", None)
    assert _deaths(dead) == [("expired", "short", ["short"])]


async def test_a_queue_without_dead_letters_never_gives_up_a_message(broker: Broker) -> None:
    await broker.publish([message(b"keep", queue="one")])

    for _ in range(30):
        (await _taken(broker, "one")).requeue()

    await quiet(broker)
    assert (await _taken(broker, "one")).headers["x-delivery-count"] == 30


async def test_what_is_unbound_leads_nowhere_and_may_be_unbound_again(broker: Broker) -> None:
    await broker.declare(
        Topology(
            exchanges=(Exchange("door", ExchangeKind.DIRECT),),
            bindings=(Binding("door", "one", "a"), Binding("door", "one", "b"), Binding("door", "two", "a")),
        )
    )

    for _ in range(2):
        await broker.unbind([Binding("door", "one", "a"), Binding("door", "one", "never")])
    await broker.publish([to("door", "a", b"to two"), to("door", "b", b"to one")])

    await ready(broker, "one", 1)
    await ready(broker, "two", 1)


async def test_a_deleted_queue_is_gone_with_what_it_holds(broker: Broker) -> None:
    await broker.publish([message(b"gone", queue="one")])

    for _ in range(2):
        await broker.delete("one")

    assert await broker.ready("one") is None


async def test_the_readers_of_a_queue_are_counted_over_all_processes(ground: Ground, broker: Broker) -> None:
    other = await ground.broker()
    mine = await broker.consume("one", Ear(), credit=1)
    await other.consume("one", Ear(), credit=1)

    both = await broker.readers("one")
    await mine.cancel()

    assert (both, await broker.readers("one"), await broker.readers("two")) == (2, 1, 0)
    assert await broker.readers("nowhere") is None


async def _taken(broker: Broker, queue: str) -> Delivery:
    found: list[Delivery] = []

    async def there() -> bool:
        found.extend(await broker.get(queue, 1))
        return bool(found)

    await until(there, f"a message waits in {queue}")
    return found[0]


def _deaths(delivery: Delivery) -> list[tuple[object, object, object]]:
    headers: dict[str, Any] = dict(delivery.headers)
    assert headers["x-first-death-reason"] == headers["x-death"][-1]["reason"]
    return [(death["reason"], death["queue"], death["routing-keys"]) for death in headers["x-death"]]


def task_queues_with_exchange() -> Topology:
    queues = task_queues(["digest"])
    return Topology(
        exchanges=(Exchange(TASKS, ExchangeKind.DIRECT),),
        queues=(*queues.queues, Queue(DEAD)),
        bindings=queues.bindings,
    )
