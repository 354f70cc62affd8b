"""What every model on the wire has in common, and the field types they share."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from backhaul_contracts.ids import TASK_ID_PATTERN

Json = Any
"""Any JSON value. (A recursive type would be validated node by node; payloads pass through untouched.)"""

KIND_PATTERN = r"^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9][A-Za-z0-9_-]*)+$"
NAME_PATTERN = r"^[a-z0-9][a-z0-9_.-]*$"

_DATE = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DURATION = re.compile(r"^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)$")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = timedelta(days=3650)


class Wire(BaseModel):
    """A message between our own processes: within a version only optional fields are added, so unknown ones pass."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Strict(BaseModel):
    """Something a client writes: an unknown field is most likely a typing error, so it is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def parse_duration(value: object) -> timedelta:
    """A length of time from seconds (a number), `"1500ms" "30s" "10m" "2h" "1d"`, or a `timedelta`.

    Raises `ValueError` for anything else, for a negative one and for more than ten years.
    """
    length = _length(value)
    if not timedelta(0) <= length <= _LONGEST:
        raise ValueError("a duration lies between 0 and ten years")
    return length


def _length(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return timedelta(seconds=value)
        except (OverflowError, ValueError) as error:
            raise ValueError("a duration lies between 0 and ten years") from error
    match = _DURATION.match(value.strip()) if isinstance(value, str) and len(value) <= 20 else None
    if match is None:
        raise ValueError('a duration is a number of seconds or a text like "30s", "10m" or "2h"')
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError as error:
        raise ValueError("a duration lies between 0 and ten years") from error


@lru_cache(maxsize=1024)
def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-01-31T08:00:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time needs a zone: end it with Z or an offset such as +02:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time lies between the years 1 and 9999, in UTC") from error


def _written(value: object) -> object:
    """Refuse numbers, which might be seconds or milliseconds: a time is written out."""
    if isinstance(value, datetime) or (isinstance(value, str) and _DATE.match(value)):
        return value
    raise ValueError("a time is written as in RFC 3339: 2026-01-31T08:00:00Z")


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("a text must not contain the character U+0000")
    return text


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration, json_schema_input_type=float | str),
    PlainSerializer(lambda length: length.total_seconds(), return_type=float),
]
Moment = Annotated[
    datetime,
    BeforeValidator(_written),
    AfterValidator(_aware),
    PlainSerializer(format_time, return_type=str, when_used="json-unless-none"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Text = Annotated[str, AfterValidator(_storable)]
Kind = Annotated[str, StringConstraints(pattern=KIND_PATTERN, max_length=200)]
QueueName = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=100)]
TaskIdText = Annotated[str, StringConstraints(pattern=TASK_ID_PATTERN)]
Key = Annotated[Text, StringConstraints(min_length=1, max_length=255)]
Priority = Annotated[int, Field(ge=-100, le=100, strict=True)]
MetadataName = Annotated[Text, StringConstraints(min_length=1, max_length=100)]
MetadataValue = Annotated[Text, StringConstraints(max_length=1000)]
Metadata = dict[MetadataName, MetadataValue]
