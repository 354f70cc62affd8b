from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, cast

import pytest

from backhaul.core.errors import Rejected
from backhaul.core.ports.store import Store
from backhaul.core.schema.catalogue import MAX_FAULTS, Catalogue
from backhaul.core.task.acceptance import Acceptance, Origin
from backhaul.testing.clock import ManualClock
from backhaul_contracts.kinds import KindSpec, RetryRule
from backhaul_contracts.tasks import Status

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def spec(kind: str = "digest.summarise", **changes: Any) -> KindSpec:
    schema = {
        "type": "object",
        "properties": {"text": {"type": "string"}, "pages": {"type": "array", "items": {"type": "integer"}}},
        "required": ["text"],
    }
    values: dict[str, Any] = {
        "kind": kind,
        "version": "2",
        "service": "digest",
        "service_version": "1.0.0",
        "queue": "digest",
        "timeout": timedelta(minutes=10),
        "grace": timedelta(seconds=5),
        "retry": RetryRule(max_attempts=5, base=timedelta(seconds=1), cap=timedelta(minutes=5)),
        "input_schema": schema,
        "result_schema": {},
    }
    return KindSpec(**{**values, **changes})


class Kinds:
    """The one call of the store that matters here."""

    def __init__(self, *specs: KindSpec) -> None:
        self.specs = list(specs)

    async def kinds(self) -> list[KindSpec]:
        return self.specs


def acceptance(kinds: Kinds, clock: ManualClock | None = None) -> Acceptance:
    clock = clock or ManualClock(NOW)
    store = cast("Store", kinds)
    return Acceptance(Catalogue(store, clock), store, clock)


async def rejection(body: Any, key: str | None = None) -> Rejected:
    with pytest.raises(Rejected) as caught:
        await acceptance(Kinds(spec())).draft(body, Origin(key=key))
    return caught.value


async def test_a_draft_takes_what_is_not_said_from_its_kind() -> None:
    draft = await acceptance(Kinds(spec())).draft({"kind": "digest.summarise", "input": {"text": "One."}}, Origin())

    record = draft.record
    assert (record.status, record.queue, record.version) == (Status.QUEUED, "digest", "2")
    assert (record.timeout, record.max_attempts, record.retry_cap) == (timedelta(minutes=10), 5, timedelta(minutes=5))
    assert draft.input == '{"text":"One."}'
    assert draft.fingerprint is None


async def test_a_delay_makes_it_scheduled() -> None:
    body = {"kind": "digest.summarise", "input": {"text": ""}, "delay": "30s", "expires_in": "1m"}

    record = (await acceptance(Kinds(spec())).draft(body, Origin())).record

    assert record.status is Status.SCHEDULED
    assert record.scheduled_for == record.not_before == NOW + timedelta(seconds=30)
    assert record.expires_at == NOW + timedelta(minutes=1)


async def test_wrong_input_is_pointed_at_from_the_root_of_the_body() -> None:
    refusal = await rejection({"kind": "digest.summarise", "input": {"text": "", "pages": [1, "two"]}})

    assert refusal.problem.code == "invalid_input"
    assert refusal.problem.status == 422
    assert [fault.pointer for fault in refusal.problem.errors] == ["/input/pages/1"]


@pytest.mark.parametrize("number", [inf, -inf])
async def test_a_number_that_no_double_holds_is_refused_and_not_lost(number: float) -> None:
    refusal = await rejection({"kind": "digest.summarise", "input": {"text": "", "weights": [0.5, number]}})

    assert refusal.problem.code == "invalid_input"
    assert [fault.pointer for fault in refusal.problem.errors] == ["/input"]


async def test_an_input_too_deep_to_travel_is_refused() -> None:
    nested: Any = {"text": ""}
    for _ in range(101):
        nested = {"text": "", "inner": nested}

    refusal = await rejection({"kind": "digest.summarise", "input": nested})

    assert [fault.pointer for fault in refusal.problem.errors] == ["/input"]


async def test_the_words_of_such_numbers_may_stand_in_a_text() -> None:
    body = {"kind": "digest.summarise", "input": {"text": "NaN and Infinity"}}

    draft = await acceptance(Kinds(spec())).draft(body, Origin())

    assert draft.input == '{"text":"NaN and Infinity"}'


async def test_what_is_wrong_with_a_long_value_is_told_briefly() -> None:
    refusal = await rejection({"kind": "digest.summarise", "input": {"text": ["x" * 100_000]}})

    (fault,) = refusal.problem.errors
    assert len(fault.detail) < 500
    assert fault.detail.endswith('is not of type "string"')


async def test_of_very_many_faults_only_the_first_are_told() -> None:
    refusal = await rejection({"kind": "digest.summarise", **{f"field{n}": n for n in range(1_000)}})

    assert len(refusal.problem.errors) == MAX_FAULTS


async def test_an_unknown_field_is_pointed_at() -> None:
    refusal = await rejection({"kind": "digest.summarise", "input": {"text": ""}, "prio": 3})

    assert [fault.pointer for fault in refusal.problem.errors] == ["/prio"]


async def test_an_unknown_kind_is_answered_with_near_matches() -> None:
    refusal = await rejection({"kind": "digest.sumarize"})

    assert refusal.problem.code == "unknown_kind"
    assert refusal.problem.detail is not None
    assert "digest.summarise" in refusal.problem.detail


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"queue": "nowhere"}, "/queue"),
        ({"expires_in": 0}, "/expires_in"),
        ({"run_at": "2030-01-01T01:00:00Z", "expires_in": "30m"}, "/expires_in"),
        ({"delay": 60, "expires_in": "1m"}, "/expires_in"),
        ({"key": "one"}, "/key"),
        ({"timeout": 0}, "/timeout"),
        ({"metadata": {"a\0": "b"}}, "/metadata/a\0"),
        ({"metadata": {"[key]": 1}}, "/metadata/[key]"),
    ],
)
async def test_what_cannot_work_is_refused_at_its_place(body: dict[str, Any], pointer: str) -> None:
    refusal = await rejection({"kind": "digest.summarise", "input": {"text": ""}, **body}, key="another")

    assert [fault.pointer for fault in refusal.problem.errors] == [pointer]


async def test_a_body_that_is_no_object_is_refused() -> None:
    refusal = await rejection(["digest.summarise"])

    assert refusal.problem.code == "invalid_input"


async def test_a_kind_that_has_just_been_announced_is_known_at_the_next_try() -> None:
    kinds, clock = Kinds(spec()), ManualClock(NOW)
    accepting = acceptance(kinds, clock)
    with pytest.raises(Rejected):
        await accepting.draft({"kind": "digest.render", "input": {"text": ""}}, Origin())

    kinds.specs.append(spec("digest.render"))
    clock.advance(timedelta(milliseconds=300))

    draft = await accepting.draft({"kind": "digest.render", "input": {"text": ""}}, Origin())
    assert draft.record.kind == "digest.render"


TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("traceparent", "kept"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        (f"00-{TRACE}-{SPAN}-01\n", False),
        ("", False),
    ],
)
async def test_what_is_no_trace_context_is_as_if_it_were_not_there(traceparent: str, kept: bool) -> None:
    draft = await acceptance(Kinds(spec())).draft(
        {"kind": "digest.summarise", "input": {"text": "One."}}, Origin(traceparent=traceparent)
    )

    assert draft.record.traceparent == (traceparent if kept else None)
