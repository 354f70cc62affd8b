"""A service's author writes something that cannot work, and is told in one sentence."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from types import FunctionType
from typing import Any

import pytest

from backhaul import Context, RetryPolicy, Service
from backhaul.core.errors import ConfigurationError
from backhaul.worker.kit.origin import origin
from backhaul_contracts.kinds import KindSpec


class Model:
    """No pydantic model: it can only be a resource."""


def spec(service: Service) -> KindSpec:
    """What a service with one handler announces of it."""
    return service.announcement().kinds[0]


async def good(text: str) -> int:
    return len(text)


def test_an_announcement_says_what_the_handler_says() -> None:
    service = Service("digest", version="2.1.0", slots=20)
    retry = RetryPolicy(max_attempts=5, base="2s", cap=60)
    service.handler("digest.count", timeout="1m", grace=3, retry=retry, queue="slow", version="7")(good)

    announced = spec(service)

    assert announced.kind == "digest.count"
    assert (announced.service, announced.service_version) == ("digest", "2.1.0")
    assert (announced.queue, announced.version) == ("slow", "7")
    assert (announced.timeout, announced.grace) == (timedelta(minutes=1), timedelta(seconds=3))
    assert announced.retry.max_attempts == 5
    assert (announced.retry.base, announced.retry.cap) == (timedelta(seconds=2), timedelta(minutes=1))
    assert announced.input_schema == {"type": "string"}
    assert announced.result_schema == {"type": "integer"}


def test_what_is_not_said_has_a_default() -> None:
    service = Service("digest")
    service.handler("digest.count")(good)

    announced = spec(service)

    assert (announced.queue, announced.version) == ("digest", "1")
    assert announced.timeout == timedelta(minutes=10)
    assert announced.retry.max_attempts == 3


def test_the_decorated_function_stays_as_it_is() -> None:
    service = Service("digest")

    decorated = service.handler("digest.count")(good)

    assert decorated is good


def no_annotation(text, ctx: Context) -> int:  # type: ignore[no-untyped-def]  # noqa: ANN001
    return 0


def no_result(text: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return 0


def no_input() -> int:
    return 0


def context_first(ctx: Context) -> int:
    return 0


def star(text: str, *more: str) -> int:
    return 0


def generator(text: str) -> Iterator[int]:
    yield 0


def odd_type(text: Model) -> int:
    return 0


@pytest.mark.parametrize(
    ("kind", "function", "options", "sentence"),
    [
        ("digest", good, {}, "join two or more words by dots"),
        ("digest count.x", good, {}, "has no valid kind"),
        ("a.b", good, {"timeout": None}, "timeout=None"),
        ("a.b", good, {"timeout": 0}, "timeout=0"),
        ("a.b", good, {"timeout": "soon"}, "timeout='soon'"),
        ("a.b", good, {"grace": -1}, "grace=-1"),
        ("a.b", good, {"queue": "No Good"}, "'No Good'"),
        ("a.b", good, {"slots": 0}, "slots=0"),
        ("a.b", good, {"version": ""}, "version=''"),
        ("a.b", good, {"run_in": "process"}, "make it a plain def (asyncio.run is welcome inside of it)"),
        ("a.b", good, {"run_in": "thread"}, "make it a plain def"),
        ("a.b", no_input, {"run_in": "loop"}, "make it async def"),
        ("a.b", good, {"run_in": "moon"}, "use 'loop', 'thread' or 'process'"),
        ("a.b", len, {}, "decorate a function"),
        ("a.b", generator, {}, "send parts with ctx.output"),
        ("a.b", no_annotation, {}, "no annotation on 'text': annotate every parameter"),
        ("a.b", no_result, {}, "no return annotation"),
        ("a.b", no_input, {}, "takes no input"),
        ("a.b", context_first, {}, "takes no input"),
        ("a.b", star, {}, "'*more: str'"),
        ("a.b", odd_type, {}, "use a pydantic model"),
    ],
)
def test_a_handler_that_cannot_work_is_refused_in_one_sentence(
    kind: str, function: Callable[..., Any], options: dict[str, Any], sentence: str
) -> None:
    service = Service("digest")

    with pytest.raises(ConfigurationError) as refusal:
        service.handler(kind, **options)(function)

    assert sentence in str(refusal.value)
    assert kind in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_kind_is_handled_once() -> None:
    service = Service("digest")
    service.handler("digest.count")(good)

    with pytest.raises(ConfigurationError, match=r"digest\.count is defined twice"):
        service.handler("digest.count")(good)


def test_a_parameter_that_nothing_provides_is_named_at_the_start() -> None:
    service = Service("digest")

    @service.handler("digest.count")
    def handle(text: str, model: Model) -> int:
        return 0

    with pytest.raises(ConfigurationError, match=r"'model' that is neither a Context nor a resource: provide Model"):
        service.check()


def test_a_name_that_is_never_defined_is_named_at_the_start() -> None:
    service = Service("digest")

    def handle(text: "Missing") -> int:  # type: ignore[name-defined]  # noqa: F821
        return 0

    service.handler("digest.count")(handle)

    with pytest.raises(ConfigurationError, match=r"digest\.count .*Missing"):
        service.check()


def test_a_name_may_be_defined_after_the_handler() -> None:
    service = Service("digest")

    def handle(text: "DefinedBelow") -> int:  # noqa: F821 - that is the point
        return 0

    service.handler("digest.count")(handle)
    globals()["DefinedBelow"] = str

    service.check()
    assert spec(service).input_schema == {"type": "string"}


def test_types_may_be_local_to_a_function() -> None:
    service = Service("digest")

    class Local(str):
        __slots__ = ()

    @service.resource
    async def provide() -> "AsyncIterator[Local]":
        yield Local()

    @service.handler("digest.count")
    def handle(text: str, local: "Local") -> int:
        return 0

    service.check()
    assert list(service.handlers["digest.count"].resolved().resources) == ["local"]


def test_a_service_without_a_handler_cannot_start() -> None:
    with pytest.raises(ConfigurationError, match=r"service digest has no handler"):
        Service("digest").check()


@pytest.mark.parametrize("options", [{"name": "Digest"}, {"name": "d", "slots": 0}, {"name": "d", "version": ""}])
def test_a_service_has_a_plain_name_some_slots_and_a_version(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Service(**options)


@pytest.mark.parametrize(
    "options", [{"max_attempts": 0}, {"base": "soon"}, {"cap": -1}, {"never": (3,)}, {"never": "ValueError"}]
)
def test_a_retry_policy_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(options))}="):
        RetryPolicy(**options)


def test_a_retry_policy_takes_a_single_exception_too() -> None:
    policy = RetryPolicy(never=ValueError)

    assert policy.forbids(UnicodeError())
    assert not policy.forbids(TimeoutError())


DefinedBelow: Any


def double(number: int) -> int:
    return 2 * number


def test_a_handler_that_no_child_process_could_find_is_refused_at_the_start() -> None:
    service = Service("test")

    @service.handler("test.it", run_in="process")
    def handle(nothing: None) -> None:
        raise AssertionError("it must not be called")

    with pytest.raises(ConfigurationError) as refusal:
        service.check()

    assert "a child process cannot find it again: define it, or its service, at the top level" in str(refusal.value)
    assert "test.it" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_handler_at_the_top_level_may_belong_to_any_service() -> None:
    service = Service("test")
    service.handler("test.double", run_in="process")(double)

    service.check()

    assert origin(service, service.handlers["test.double"]).function == f"{__name__}:double"


def test_a_resource_that_no_child_process_could_find_is_refused_at_the_start() -> None:
    service = Service("test")

    @service.resource
    async def model() -> AsyncIterator[Model]:
        yield Model()

    service.handler("test.it", run_in="process")(with_model)

    with pytest.raises(ConfigurationError, match=r"needs .*model, which a child process cannot find again"):
        service.check()


def test_a_script_that_is_started_is_no_place_to_find_a_handler() -> None:
    service = Service("test")
    function = FunctionType(double.__code__, {**globals(), "__name__": "__main__"}, "double")
    function.__annotations__ = double.__annotations__
    function.__module__ = "__main__"
    service.handler("test.double", run_in="process")(function)

    with pytest.raises(ConfigurationError, match="move it from the script that is started into a module of its own"):
        service.check()


def with_model(nothing: None, model: Model) -> None:
    raise AssertionError("it must not be called")
