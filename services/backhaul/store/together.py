"""Several statements in one round trip, where the database can do that.

Most of what a small transaction costs is waiting and waking: on PostgreSQL statements that do not need each other's
effects travel as one, each but the last in a WITH clause (all of them see what was there before). On SQLite, where
there is nobody to wait for, they run one after another.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, CursorResult, Delete, Insert, Select, Update

Writing = Insert | Update | Delete
Parameters = Mapping[str, Any]


class Together:
    """`others` write, and `last` writes or reads: what it answers is the answer.

    `joined` is the one statement that stands for all of them; left out, it is put together.
    """

    def __init__(
        self, *others: Writing, last: Writing | Select[Any], joined: Writing | Select[Any] | None = None
    ) -> None:
        self._others = others
        self._last = last
        ctes = (other.cte(f"other_{n}") for n, other in enumerate(others))
        self._joined = last.add_cte(*ctes) if joined is None else joined

    def execute(self, connection: Connection, *parameters: Parameters) -> CursorResult[Any]:
        """Run all; one mapping of parameters for each statement, in their order, with distinct names."""
        if connection.dialect.name == "postgresql":
            joined = {name: value for mapping in parameters for name, value in mapping.items()}
            return connection.execute(self._joined, joined)
        *others, last = parameters
        for statement, mapping in zip(self._others, others, strict=True):
            connection.execute(statement, mapping)
        return connection.execute(self._last, last)
