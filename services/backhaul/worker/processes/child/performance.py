"""One attempt in its child process: read → call → write."""

import asyncio
import traceback
from typing import TYPE_CHECKING, Any

from backhaul.worker.attempts import failures
from backhaul.worker.kit.payloads import InputMisfit, Unwritable, within
from backhaul.worker.processes.child.context import ProcessContext
from backhaul_contracts.ids import new_id

if TYPE_CHECKING:
    from backhaul.worker.attempts.execution import Duty
    from backhaul.worker.processes.child.link import Link, Order

End = tuple[dict[str, Any], bytes]

_MOST_OF_A_STACK = 20_000


def perform(duty: "Duty", order: "Order", link: "Link") -> End:
    """How the attempt has ended, as the worker is told it. Whatever the handler does, it raises nothing."""
    try:
        return _perform(duty, order, link)
    except asyncio.CancelledError:
        return {"end": "cancelled"}, b""
    except BaseException as error:  # noqa: BLE001 - all ends here
        return _raised(duty, error)


def _perform(duty: "Duty", order: "Order", link: "Link") -> End:
    signature = duty.signature
    try:
        value = signature.input.read(order.attempt.grant.input)
    except InputMisfit as misfit:
        return {"end": "misfit", "detail": str(misfit)}, b""
    arguments = dict(duty.resources)
    if signature.context is not None:
        arguments[signature.context] = ProcessContext(order, link)
    result = duty.handler.function(value, **arguments)
    try:
        return {"end": "result"}, within("the result", signature.result.write(result), order.limit)
    except Unwritable as error:
        return {"end": "unwritable", "detail": str(error)}, b""


def _raised(duty: "Duty", error: BaseException) -> End:
    verdict = failures.judge(error, duty.handler.retry, new_id("trc"))
    stack = "".join(traceback.format_exception(error))[-_MOST_OF_A_STACK:]
    after = verdict.retry_after
    head = {
        "end": "raised",
        "failure": verdict.failure.model_dump(mode="json"),
        "retry_after": None if after is None else after.total_seconds(),
        "expected": verdict.expected,
    }
    return head, failures.printable(stack, _MOST_OF_A_STACK).encode()
