"""Metadata as something to search by: one row for each name and value of a task, found by an index.

A value may be longer than an index entry can be, so its hash stands for it.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, Text, delete, insert, select, tuple_

from backhaul.core.task.record import Record
from backhaul.store.recordset import Recordset
from backhaul.store.schema import task_metadata
from backhaul_contracts import codec

_EMPTY = "{}"

_given = Recordset("metadata", tenant=Text, name=Text, value_hash=Text, task_id=Text)

_INSERT = insert(task_metadata).from_select(_given.names, select(_given.table))
_DELETE = delete(task_metadata).where(tuple_(*task_metadata.c).in_(select(_given.table)))


def value_hash(value: str) -> str:
    """What stands for a value in the table."""
    return blake2b(value.encode(), digest_size=16).hexdigest()


def add(connection: Connection, records: Iterable[Record]) -> None:
    """Make these new tasks findable by their metadata."""
    if found := _rows(records):
        connection.execute(_INSERT, _given.rows(found))


def remove(connection: Connection, records: Iterable[Record]) -> None:
    """Undo `add`."""
    if found := _rows(records):
        connection.execute(_DELETE, _given.rows(found))


def _rows(records: Iterable[Record]) -> list[Mapping[str, Any]]:
    return [
        {"tenant": record.tenant, "name": name, "value_hash": value_hash(value), "task_id": record.id}
        for record in records
        if record.metadata != _EMPTY
        for name, value in codec.loads(record.metadata).items()
    ]
