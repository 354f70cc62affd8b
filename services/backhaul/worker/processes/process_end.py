"""From what is known of an attempt's end in a child process to what is reported of it."""

import asyncio
from datetime import timedelta

from backhaul.worker.attempts import outcomes
from backhaul.worker.attempts.attempt import Attempt
from backhaul.worker.attempts.failures import Verdict
from backhaul.worker.kit.payloads import Unwritable
from backhaul.worker.processes.frames import Frame, Head
from backhaul_contracts.failures import Failure


def of_end(attempt: Attempt, end: Frame | str) -> bytes | None:
    """`end`: what the process has said, or how it died."""
    if isinstance(end, str):
        return outcomes.of_death(attempt, end)
    head = end.head
    attempt.noticed |= bool(head.get("noticed"))
    match head["end"]:
        case "result" | "unwritable" as written:
            result = end.body if written == "result" else Unwritable(head["detail"])
            return outcomes.of_written_result(attempt, result)
        case "misfit":
            return outcomes.of_misfit(attempt, head["detail"])
        case "cancelled":
            return outcomes.of_stop(attempt, asyncio.CancelledError())
        case "raised":
            return outcomes.of_verdict(attempt, _verdict(head), end.body.decode("utf-8", "replace"))
        case _:
            return outcomes.of_death(attempt, f"The process of the attempt could not run it: {head['detail']}")


def _verdict(head: Head) -> Verdict:
    after = head["retry_after"]
    return Verdict(
        Failure.model_validate(head["failure"]),
        retry_after=None if after is None else timedelta(seconds=after),
        expected=head["expected"],
    )
