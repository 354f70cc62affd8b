"""A queue that stands and gets nothing."""

from backhaul.core.messages import topology
from backhaul.core.messages.bindings import unbound
from backhaul.core.messages.topology import APPLY, Binding, Misfit

WANTED = topology.platform(2)
STANDS = [Binding("", queue.name, queue.name) for queue in WANTED.queues]
COMPLETE = [*STANDS, *WANTED.bindings]


def test_what_is_bound_as_it_should_be_is_well() -> None:
    served = Binding("", "backhaul.tasks.digest", "backhaul.tasks.digest")
    foreign = Binding(topology.EVENTS, "somebody", "task.#")

    assert unbound(WANTED, [*COMPLETE, served, Binding(topology.TASKS, served.queue, "digest"), foreign]) == []


def test_a_binding_that_is_missing_is_named_with_its_remedy() -> None:
    found = [binding for binding in COMPLETE if (binding.exchange, binding.queue) != ("backhaul.submit",) * 2]

    assert unbound(WANTED, found) == [
        Misfit("queue backhaul.submit", "is not bound to exchange backhaul.submit by the key '#'", APPLY)
    ]


def test_many_keys_of_one_queue_are_one_misfit() -> None:
    found = [binding for binding in COMPLETE if binding.exchange != topology.REPORTS]

    assert [(each.thing, each.fact) for each in unbound(WANTED, found)] == [
        (f"queue backhaul.ledger.{number}", "is not bound to exchange backhaul.reports by 128 keys")
        for number in (0, 1)
    ]


def test_a_queue_that_is_missing_altogether_is_told_elsewhere() -> None:
    found = [binding for binding in COMPLETE if binding.queue != topology.CLAIMS]

    assert unbound(WANTED, found) == []


def test_tokens_that_would_not_reach_their_queue_are_the_business_of_a_ledger() -> None:
    served = Binding("", "backhaul.tasks.digest", "backhaul.tasks.digest")

    (misfit,) = unbound(WANTED, [*COMPLETE, served])

    assert misfit.fact == "is not bound to exchange backhaul.tasks by the key 'digest'"
    assert misfit.remedy == "a ledger binds it when tasks wait in it; if none does, look at its log"
