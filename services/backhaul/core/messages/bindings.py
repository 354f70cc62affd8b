"""Which ways of messages are missing on the broker: a queue that stands and is not bound gets nothing, in silence."""

from collections.abc import Iterable, Iterator

from backhaul.core.messages.topology import APPLY, TASKS, Binding, Misfit, Topology, task_queues

_DECLARES = "a ledger binds it when tasks wait in it; if none does, look at its log"


def unbound(wanted: Topology, found: Iterable[Binding]) -> list[Misfit]:
    """What of the platform's bindings, and of those of services' task queues, is not there, one misfit for each queue.

    `found` are all bindings of the vhost; those of the default exchange (""), which every queue has, tell which queues
    stand. What is said of one that is missing altogether is not repeated here.
    """
    there = set(found)
    queues = {binding.queue for binding in there if binding.exchange == ""}
    missing = [binding for binding in wanted.bindings if binding.queue in queues and binding not in there]
    misfits = list(_told(missing, APPLY))
    served = task_queues(name.removeprefix(f"{TASKS}.") for name in queues if name.startswith(f"{TASKS}."))
    return misfits + list(_told([binding for binding in served.bindings if binding not in there], _DECLARES))


def _told(missing: Iterable[Binding], remedy: str) -> Iterator[Misfit]:
    keys: dict[tuple[str, str], list[str]] = {}
    for binding in missing:
        keys.setdefault((binding.queue, binding.exchange), []).append(binding.key)
    for (queue, exchange), lost in keys.items():
        which = f"by {len(lost)} keys" if len(lost) > 1 else f"by the key {lost[0]!r}" if lost[0] else ""
        yield Misfit(f"queue {queue}", f"is not bound to exchange {exchange} {which}".rstrip(), remedy)
