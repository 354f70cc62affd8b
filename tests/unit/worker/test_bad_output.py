"""What a service's own code may do wrong: it fails its task, and neither kills nor blocks its worker."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, computed_field, field_serializer, field_validator

from backhaul import Context, Fail, Retry, Service
from backhaul.worker.kit.payloads import Unwritable, write_json
from backhaul.worker.reporting import bodies
from backhaul_contracts import codec
from backhaul_contracts.messages import SHARD
from tests.unit.worker.stage import play


class Trap(BaseModel):
    """A validator, a serializer and a property that raise what nobody expects of them."""

    text: str

    @field_validator("text")
    @classmethod
    def _check(cls, text: str) -> str:
        if text == "trap":
            raise LookupError("no such text")
        return text

    @field_serializer("text")
    def _write(self, text: str) -> str:
        if text == "unwritable":
            raise LookupError("not to be written")
        return text


class Counted(BaseModel):
    text: str

    @computed_field  # type: ignore[prop-decorator]
    @property
    def length(self) -> int:
        raise LookupError("not to be counted")


class OutOfTheOrdinaryError(BaseException):
    """What some libraries raise past every `except Exception`."""


def generator() -> Iterator[int]:
    yield 1
    raise LookupError("in the middle")


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def circle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def trapped() -> Service:
    service = Service("test")

    @service.handler("test.reads")
    async def reads(trap: Trap) -> None:
        raise AssertionError("it must not be called")

    @service.handler("test.raises")
    async def raises(what: str) -> None:
        raise {"base": OutOfTheOrdinaryError, "exit": SystemExit, "stop": StopIteration}[what]("x")

    @service.handler("test.threads")
    def raises_in_thread(what: str) -> None:
        raise {
            "base": OutOfTheOrdinaryError,
            "interrupt": KeyboardInterrupt,
            "closed": GeneratorExit,
            "stop": StopIteration,
        }[what]("x")

    @service.handler("test.writes")
    async def writes(text: str) -> Trap:
        return {"text": text} if text == "trap" else Trap(text=text)  # type: ignore[return-value]

    @service.handler("test.counts")
    async def counts(text: str) -> Counted:
        return Counted(text=text)

    @service.handler("test.signals")
    async def signals(what: str) -> None:
        raise Retry(after=-1) if what == "retry" else Fail("")

    @service.handler("test.echo")
    async def echo(value: Any) -> Any:
        return value

    return service


@pytest.mark.parametrize(
    ("kind", "input"),
    [
        ("test.reads", {"text": "trap"}),
        ("test.raises", "base"),
        ("test.raises", "exit"),
        ("test.raises", "stop"),
        ("test.threads", "base"),
        ("test.threads", "interrupt"),
        ("test.threads", "closed"),
        ("test.threads", "stop"),
        ("test.writes", "trap"),
        ("test.writes", "unwritable"),
        ("test.counts", "text"),
        ("test.signals", "retry"),
        ("test.signals", "fail"),
    ],
)
async def test_whatever_a_services_code_raises_fails_its_task_and_the_worker_goes_on(kind: str, input: Any) -> None:
    async with play(trapped()) as stage:
        failed = await stage.ledger.outcome(await stage.ledger.offer(kind, input))
        done = await stage.ledger.outcome(await stage.ledger.offer("test.echo", "next"))

    assert failed.failure.code == "handler_error"
    assert done.result == "next"


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (generator, "in the middle"),
        (lambda: {"lock": threading.Lock()}, "lock"),
        (lambda: b"\xff", "utf-8"),
        (lambda: "\ud800", "surrogates"),
        (lambda: {"\ud800": 1}, "surrogates"),
        (lambda: nested(101), "deeper than 100 levels"),
        (lambda: nested(100_000), "depth"),
        (circle, "Circular"),
        (lambda: 10**4_300, "4,300 digits"),
        (lambda: "x" * 100_000, "the limit is 50,000 (BACKHAUL_MAX_RESULT)"),
    ],
    ids=["generator", "object", "bytes", "text", "key", "deep", "deeper", "circle", "digits", "size"],
)
@pytest.mark.parametrize("way", ["result", "output", "checkpoint", "log"])
async def test_what_cannot_be_written_is_a_failure_that_says_why(value: Any, word: str, way: str) -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None, ctx: Context) -> Any:
        if way == "output":
            await ctx.output(value())
        elif way == "checkpoint":
            await ctx.save(value())
        elif way == "log":
            await ctx.log("look", field=value())
        return value() if way == "result" else None

    async with play(service, max_result=50_000) as stage:
        grant = await stage.ledger.offer("test.it")
        outcome = await stage.ledger.outcome(grant)

    assert stage.ledger.said(grant) == ["failed"]
    assert outcome.failure.code == "handler_error"
    assert word in str(outcome.failure.detail)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({3}, [3]),
        ((1, 2), [1, 2]),
        (b"ab", "ab"),
        (iter([1, 2]), [1, 2]),
        ([float("nan"), float("-inf")], [None, None]),
        (2**80, 2**80),
        ({1: "a"}, {"1": "a"}),
        ("a\x00b", "a\x00b"),
    ],
    ids=["set", "tuple", "bytes", "iterator", "not finite", "large", "keys", "nul"],
)
async def test_what_json_has_another_form_for_is_written_in_that(value: Any, written: Any) -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> Any:
        return value

    async with play(service) as stage:
        outcome = await stage.ledger.outcome(await stage.ledger.offer("test.it"))

    assert outcome.result == written


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(4_290, 4_310).map(lambda digits: 10**digits)
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.datetimes()
    | st.decimals()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters(exclude_categories=())) | st.integers() | st.floats(), inner)
        | st.integers(95, 210).flatmap(lambda depth: inner.map(lambda value: _wrapped(value, depth)))
    ),
)


def _wrapped(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = {"in": value}
    return value


@given(value=VALUES)
def test_what_is_written_is_read_by_the_ledger(value: Any) -> None:
    """A report that it cannot read would be set aside with all others in its message, and come again for ever."""
    try:
        text = write_json("it", value, 1_000_000)
    except Unwritable:
        return

    head = b'"task_id":"tsk_1","attempt":1,"token":"t","number":1,'
    event = b'"specversion":"1.0","id":"1","source":"/w","type":"dev.backhaul.worker.report"'
    for body in (bodies.output(text), bodies.checkpoint(text), bodies.succeeded(text)):
        (message,) = SHARD.read(b'[{%b,"data":{%b%b}}]' % (event, head, body))
        said = json.loads(message.data.model_dump_json())
        payload = said.get("delta", said.get("checkpoint", said.get("result")))
        assert codec.dumps(payload) == codec.dumps(codec.loads(text))
