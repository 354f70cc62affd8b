"""What a handler's annotations say: its input, its result, and what else it wants to be given."""

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from backhaul.core.errors import ConfigurationError
from backhaul.worker.attempts.context import Context
from backhaul.worker.kit.payloads import Shape


class Unresolved(Exception):
    """An annotation names something that does not exist yet; at the start of the worker it must."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The types of a handler. `context` names its `Context` parameter; `resources` maps parameters to their types."""

    input: Shape
    result: Shape
    context: str | None
    resources: Mapping[str, type]


def read_signature(handler: str, function: Callable[..., Any], names: Mapping[str, Any]) -> Signature:
    """Read the annotations of `function`; `names` are known beside its module's.

    Raises `ConfigurationError` for what can never work, `Unresolved` for names that do not exist (yet).
    """
    hints = hints_of(function, names)
    first, *others = _parameters(handler, function, hints)
    wanted = {name: hints[name] for name in others}
    return Signature(
        input=_shape(handler, f"its input {first!r}", hints[first]),
        result=_shape(handler, "its result", hints["return"]),
        context=next((name for name, hint in wanted.items() if is_context(hint)), None),
        resources={name: hint for name, hint in wanted.items() if not is_context(hint)},
    )


def is_context(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Context)


def hints_of(function: Callable[..., Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of `function`, `return` among them. Raises `Unresolved`."""
    try:
        return typing.get_type_hints(function, localns=dict(names), include_extras=True)
    except NameError as error:
        raise Unresolved(str(error)) from error


def _parameters(handler: str, function: Callable[..., Any], hints: Mapping[str, Any]) -> list[str]:
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or is_context(hints.get(parameters[0].name)):
        raise ConfigurationError(
            f"{handler} takes no input: make its first parameter the input (annotated None if it needs none)"
        )
    _refuse_odd(handler, parameters)
    missing = [repr(parameter.name) for parameter in parameters if parameter.name not in hints]
    if missing:
        raise ConfigurationError(f"{handler} has no annotation on {', '.join(missing)}: annotate every parameter")
    if "return" not in hints:
        raise ConfigurationError(f"{handler} has no return annotation: annotate its result (None if there is none)")
    return [parameter.name for parameter in parameters]


def _refuse_odd(handler: str, parameters: Iterable[inspect.Parameter]) -> None:
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    first, *others = parameters
    odd = [str(parameter) for parameter in others if parameter.kind not in plain]
    if first.kind not in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
        odd.insert(0, str(first))
    if odd:
        raise ConfigurationError(
            f"{handler} has a parameter {odd[0]!r} that nothing can be given to: "
            "take the input first, then a Context and resources by name"
        )


def _shape(handler: str, what: str, annotation: Any) -> Shape:
    try:
        return Shape(annotation)
    except PydanticUndefinedAnnotation as error:
        raise Unresolved(str(error)) from error
    except PydanticUserError as error:
        if error.code == "class-not-fully-defined":
            raise Unresolved(error.message.partition(";")[0]) from error
        raise ConfigurationError(
            f"{handler} has a type for {what} that has no JSON Schema ({error.message.partition(chr(10))[0]}): "
            "use a pydantic model, a dataclass, a TypedDict, a scalar, or None"
        ) from error
