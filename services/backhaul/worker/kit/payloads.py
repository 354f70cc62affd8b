"""Payloads of a kind: from JSON to the types of its handler and back, and their JSON Schemas."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json, to_jsonable_python

from backhaul.worker.kit.typed_dicts import modern
from backhaul_contracts import codec
from backhaul_contracts.wire import Json

MAX_FAULTS = 20


class InputMisfit(ValueError):
    """An input that the handler's type refuses; the message has a JSON pointer for each fault."""


class Unwritable(ValueError):
    """A value that cannot cross the wire: not JSON, or larger than the limit. The message names it and the remedy."""


class Shape:
    """One annotated type, able to read and write its values. Raises pydantic's errors if there can be no schema."""

    def __init__(self, annotation: Any) -> None:
        self._adapter: TypeAdapter[Any] = TypeAdapter(modern(annotation))
        self.input_schema = self._adapter.json_schema(mode="validation")
        self.result_schema = self._adapter.json_schema(mode="serialization")

    def read(self, value: Json, root: str = "/input") -> Any:
        """The value of the type that stands for `value`. Raises `InputMisfit`, with pointers from `root`."""
        try:
            return self._adapter.validate_python(value)
        except ValidationError:
            return self._read_as_json(value, root)

    def _read_as_json(self, value: Json, root: str) -> Any:
        """Strict types take dates, enums and so on as text only when they know that it is JSON."""
        try:
            return self._adapter.validate_json(to_json(value))
        except ValidationError as error:
            raise InputMisfit(_faults(root, error)) from error

    def write(self, value: Any) -> bytes:
        """`value` as JSON; not-a-number and infinities become null, as in JavaScript. Raises `Unwritable`."""
        try:
            return self._adapter.dump_json(value, warnings="error")
        except ValueError as error:
            if _holds_iterator(value):
                raise Unwritable(
                    f"its result cannot be written as JSON ({_first_line(error)}), nor tried again, "
                    "since it holds an iterator: return a list"
                ) from error
            return self._write_coerced(value)

    def _write_coerced(self, value: Any) -> bytes:
        """A handler may return what its type is made from: a dict for a model."""
        try:
            return self._adapter.dump_json(self._adapter.validate_python(value), warnings="error")
        except ValidationError as error:
            raise Unwritable(
                f"it returned {_type(value)} that is not of its result type ({_faults('/result', error)})"
            ) from error
        except ValueError as error:
            raise Unwritable(f"its result cannot be written as JSON ({_first_line(error)})") from error


def shape_of(annotation: Any) -> Shape:
    """The shape of a type, made once."""
    try:
        return _shape_of(annotation)
    except TypeError:  # it cannot be hashed
        return Shape(annotation)


@lru_cache(maxsize=256)
def _shape_of(annotation: Any) -> Shape:
    return Shape(annotation)


def read_result(shape: Shape, kind: str, value: Json) -> Any:
    """The result of another task. Raises `ValueError` if it is not of the type that was asked for."""
    try:
        return shape.read(value, "/result")
    except InputMisfit as misfit:
        raise ValueError(f"the result of {kind} is not of the type that ctx.call wants: {misfit}") from misfit


def plain_json(value: Any) -> Json:
    """`value` as JSON; models, dataclasses and so on become objects. Raises `ValueError` for what is none."""
    return to_jsonable_python(value, inf_nan_mode="null")


def write_json(what: str, value: Any, limit: int) -> bytes:
    """Any value as JSON (models and dataclasses too), at most `limit` bytes. Raises `Unwritable`, naming `what`."""
    try:
        text = to_json(value, inf_nan_mode="null")
    except ValueError as error:
        raise Unwritable(f"{what} cannot be written as JSON ({_first_line(error)})") from error
    return within(what, text, limit)


def within(what: str, text: bytes, limit: int) -> bytes:
    """`text` if it is not larger than `limit`, and can be read inside of a message. Raises `Unwritable`."""
    if len(text) > limit:
        raise Unwritable(
            f"{what} is {len(text):,} bytes large, the limit is {limit:,} (BACKHAUL_MAX_RESULT): "
            "store large data elsewhere and pass a reference"
        )
    if fault := codec.unreadable(text):
        raise Unwritable(f"{what} {fault}")
    return text


def _holds_iterator(value: Any) -> bool:
    """Whether there is something in `value` that could be read only once, and has been."""
    seen: dict[int, Any] = {}
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, Iterator):
            return True
        if id(one) not in seen and isinstance(one, Mapping | list | tuple):
            seen[id(one)] = one
            left.extend(one.values() if isinstance(one, Mapping) else one)
    return False


def _faults(root: str, error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    named = [f"{root}{_pointer(fault['loc'])}: {fault['msg']}" for fault in found[:MAX_FAULTS]]
    more = [f"and {len(found) - MAX_FAULTS} more"] if len(found) > MAX_FAULTS else []
    return "; ".join([*named, *more])


def _pointer(steps: Sequence[str | int]) -> str:
    """RFC 6901."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _type(value: Any) -> str:
    return f"a value of type {type(value).__qualname__}"
