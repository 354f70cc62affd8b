"""Before Python 3.12 pydantic refuses `typing.TypedDict`, for want of what only `typing_extensions` notes of it.

A service's author need not know that: such a type is rebuilt as one of `typing_extensions`. What is lost (which of the
keys an inherited type requires, with its own `total`) is kept by name, since `typing` notes that much.
"""

import sys
import types
import typing
from typing import Annotated, Any, Literal, NotRequired, Required, Union

import typing_extensions


def modern(annotation: Any) -> Any:
    """`annotation` with every `typing.TypedDict` in it rebuilt; on Python 3.12 and later just as it is."""
    if sys.version_info >= (3, 12):
        return annotation
    if typing.is_typeddict(annotation):
        return _rebuilt(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if not arguments or origin in (Literal, typing.Callable):
        return annotation
    return _with(annotation, origin, tuple(modern(argument) for argument in arguments), arguments)


def _with(annotation: Any, origin: Any, new: tuple[Any, ...], old: tuple[Any, ...]) -> Any:
    if all(one is other for one, other in zip(new, old, strict=True)):
        return annotation
    if origin in (Union, types.UnionType):
        return Union[new]  # noqa: UP007 - of as many as there are
    return Annotated[new] if origin is Annotated else origin[new]


def _rebuilt(annotation: Any) -> Any:
    hints = typing.get_type_hints(annotation, include_extras=True)
    required = annotation.__required_keys__
    fields = {name: _field(hint, required=name in required) for name, hint in hints.items()}
    rebuilt = typing_extensions.TypedDict(annotation.__name__, fields)  # type: ignore[misc]
    rebuilt.__module__, rebuilt.__doc__ = annotation.__module__, annotation.__doc__
    return rebuilt


def _field(hint: Any, *, required: bool) -> Any:
    inner = typing.get_args(hint)[0] if typing.get_origin(hint) in (Required, NotRequired) else hint
    return Required[modern(inner)] if required else NotRequired[modern(inner)]
