"""Query parameters: read strictly, because a misspelt filter that is ignored answers with the wrong tasks."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import parse_qsl

from pydantic import TypeAdapter, ValidationError

from backhaul.core.errors import Rejected
from backhaul.core.ports.store import TaskQuery
from backhaul.gateway.http.request import Request
from backhaul.gateway.push.wide import Choice
from backhaul_contracts.events import EventType
from backhaul_contracts.ids import TaskId, is_task_id
from backhaul_contracts.problems import Fault, ProblemCode
from backhaul_contracts.submissions import MOST_METADATA
from backhaul_contracts.tasks import Status
from backhaul_contracts.wire import Moment

T = TypeVar("T")

LINKED_BY = "token"
"""The parameter of a link that opens a stream without a key."""

_NO_CURSOR = "the cursor is not one that this API gave out"
_METADATA = "metadata."
_MOST_PARAMETERS = 100
_MOST_TASKS = 100
_FILTERS = frozenset(
    {"status", "kind", "queue", "key", "parent_id", "created_after", "created_before", "limit", "cursor"}
)
_CHOICES = frozenset({"type", "status", "kind", "queue", "key", "parent_id"})
_MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


class Parameters:
    """The parameters of one request. Raises `Rejected` (`invalid_input`), naming the one that it cannot read.

    `allowed` are the names the operation knows; a name that ends in a dot stands for all that begin with it.
    """

    def __init__(self, request: Request, allowed: Collection[str]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in _pairs(request.scope["query_string"]):
            if not _known(name, allowed):
                known = ", ".join(sorted(allowed)) or "none"
                raise invalid(name, f"There is no query parameter {name!r} here. Known: {known}.")
            if "\x00" in name or "\x00" in value:
                raise invalid(name, "A text must not contain the character U+0000.")
            self._values.setdefault(name, []).append(value)

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def one(self, name: str) -> str | None:
        values = self.all(name)
        if len(values) > 1:
            raise invalid(name, f"{name} is given {len(values)} times: give it once.")
        return values[0] if values else None

    def read(self, name: str, reader: Callable[[str], T]) -> T | None:
        """The value that `reader` makes of the parameter; its `ValueError` is told to the client."""
        text = self.one(name)
        if text is None:
            return None
        try:
            return reader(text)
        except ValueError as error:
            raise invalid(name, str(error)) from error

    def prefixed(self, prefix: str) -> dict[str, str]:
        """The parameters whose names begin with `prefix`, without it."""
        return {name[len(prefix) :]: self.one(name) or "" for name in self._values if name.startswith(prefix)}


def _known(name: str, allowed: Collection[str]) -> bool:
    family, dot, member = name.partition(".")
    return name in allowed if not dot else bool(member) and f"{family}." in allowed


def no_parameters(request: Request) -> None:
    """Refuse a request that has query parameters where none mean anything."""
    if request.scope["query_string"]:
        Parameters(request, ())


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    except ValueError as error:
        detail = "The query string is not percent-encoded UTF-8, or has too many parameters."
        raise Rejected(ProblemCode.INVALID_INPUT, detail) from error


def link_token(request: Request) -> str | None:
    """The token of a link, if the request came by one."""
    query: bytes = request.scope["query_string"]
    return next((value for name, value in _pairs(query) if name == LINKED_BY), None) if query else None


def invalid(name: str, detail: str) -> Rejected:
    """The refusal of one parameter or header."""
    return Rejected(ProblemCode.INVALID_INPUT, detail, errors=[Fault(pointer=f"/{name}", detail=detail)])


def task_query(request: Request, tenant: str) -> TaskQuery:
    """What `GET /v1/tasks` asks for."""
    parameters = Parameters(request, _FILTERS | {_METADATA})
    limit = parameters.read("limit", integer(1, _MOST_TASKS))
    metadata = parameters.prefixed(_METADATA)
    if len(metadata) > MOST_METADATA:
        raise invalid(_METADATA, f"No task has more than {MOST_METADATA} metadata: ask for fewer.")
    return TaskQuery(
        tenant=tenant,
        statuses=tuple(_status(text) for text in parameters.all("status")),
        kind=parameters.one("kind"),
        queue=parameters.one("queue"),
        key=parameters.one("key"),
        parent_id=parameters.read("parent_id", _task_id),
        created_after=parameters.read("created_after", _moment),
        created_before=parameters.read("created_before", _moment),
        metadata=metadata,
        before=parameters.read("cursor", _position),
        limit=50 if limit is None else limit,
    )


def event_choice(request: Request, tenant: str) -> Choice:
    """What `GET /v1/events` asks for."""
    parameters = Parameters(request, _CHOICES | {_METADATA})
    return Choice(
        tenant=tenant,
        types=frozenset(_event_type(text) for text in parameters.all("type")),
        statuses=frozenset(_status(text) for text in parameters.all("status")),
        kind=parameters.one("kind"),
        queue=parameters.one("queue"),
        key=parameters.one("key"),
        parent_id=parameters.read("parent_id", _task_id),
        metadata=frozenset(parameters.prefixed(_METADATA).items()),
    )


def cursor_behind(id_: str) -> str:
    """The opaque cursor that continues a list behind a thing."""
    return urlsafe_b64encode(id_.encode()).decode().rstrip("=")


def position_of(prefix: str) -> Callable[[str], str]:
    """A reader of cursors behind things whose ids begin with `prefix` and `_`."""

    def read(text: str) -> str:
        found = _decoded(text)
        if not found.startswith(f"{prefix}_"):
            raise ValueError(_NO_CURSOR)
        return found

    return read


def integer(least: int, most: int | None = None) -> Callable[[str], int]:
    """A reader of decimal integers within bounds."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or len(text) > 18:
            raise ValueError(f"{text!r} is not a whole number")
        number = int(text)
        if number < least or (most is not None and number > most):
            bounds = f"at least {least}" if most is None else f"between {least} and {most}"
            raise ValueError(f"{number} is not {bounds}")
        return number

    return read


def _status(text: str) -> Status:
    try:
        return Status(text)
    except ValueError as error:
        raise invalid("status", f"{text!r} is not a status. Known: {', '.join(Status)}.") from error


def _event_type(text: str) -> EventType:
    try:
        return EventType(text)
    except ValueError as error:
        raise invalid("type", f"{text!r} is not a type of event. Known: {', '.join(EventType)}.") from error


def _task_id(text: str) -> str:
    if not is_task_id(text):
        raise ValueError(f"{text!r} is not the id of a task")
    return text


def _moment(text: str) -> datetime:
    """No task was made before or after: so far out all times are equal, and sums with them overflow."""
    try:
        return min(max(_MOMENT.validate_python(text), _EARLIEST), _LATEST)
    except ValidationError as error:
        raise ValueError(f"{text!r} is not a time as in RFC 3339, with its zone (a + is written %2B)") from error


def _position(text: str) -> TaskId:
    task_id = _decoded(text)
    if not is_task_id(task_id):
        raise ValueError(_NO_CURSOR)
    return TaskId(task_id)


def _decoded(cursor: str) -> str:
    try:
        found = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise ValueError(_NO_CURSOR) from error
    if not found.isprintable():
        raise ValueError(_NO_CURSOR)
    return found
