"""Many rows in one parameter: a JSON array of objects that a statement reads as a table.

A statement that takes its rows this way is always the same text, whatever their number: compiled once, prepared once
on each connection, and one round trip for a whole batch.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import to_json
from sqlalchemy import JSON, TableValuedAlias, Text, bindparam, cast, column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

_ROWS = "rows"


def recordset(**columns: type[TypeEngine[Any]]) -> TableValuedAlias:
    """The rows handed in as parameters made by `rows`, as a table of these columns. What a row lacks is NULL."""
    typed = [column(name, type_) for name, type_ in columns.items()]
    return _Recordset(columns).table_valued(*typed, name="given")


def rows(given: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The parameters of a statement over a `recordset`."""
    return {_ROWS: to_json(list(given)).decode()}


class _Recordset(FunctionElement[Any]):
    inherit_cache = True  # the columns are part of the key: `table_valued` puts them into the type

    def __init__(self, columns: Mapping[str, type[TypeEngine[Any]]]) -> None:
        self.parameter = bindparam(_ROWS, type_=Text)
        self.types = {name: type_() for name, type_ in columns.items()}
        super().__init__(self.parameter)


@compiles(_Recordset, "postgresql")
def _on_postgresql(element: _Recordset, compiler: SQLCompiler, **options: Any) -> str:
    type_name = compiler.dialect.type_compiler_instance.process
    typed = ", ".join(f"{name} {type_name(type_)}" for name, type_ in element.types.items())
    parameter = compiler.process(cast(element.parameter, JSON), **options)
    return f"(SELECT * FROM json_to_recordset({parameter}) AS _({typed}))"


@compiles(_Recordset, "sqlite")
def _on_sqlite(element: _Recordset, compiler: SQLCompiler, **options: Any) -> str:
    selected = ", ".join(f"value ->> '{name}' AS {name}" for name in element.types)
    return f"(SELECT {selected} FROM json_each({compiler.process(element.parameter, **options)}))"
