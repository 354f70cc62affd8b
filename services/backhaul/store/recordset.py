"""Many rows in one parameter: a JSON array of objects that a statement reads as a table.

A statement that takes its rows this way is always the same text, whatever their number: compiled once, prepared once
on each connection, and one round trip for a whole batch.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import to_json
from sqlalchemy import JSON, Text, bindparam, cast, column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

Types = Mapping[str, type[TypeEngine[Any]]]


class Recordset:
    """A table of rows that are handed in with each execution, as the parameter of this name.

    `table` stands in a FROM clause, `c` are its columns. What a row lacks is NULL.
    """

    def __init__(self, parameter: str, **columns: type[TypeEngine[Any]]) -> None:
        typed = [column(name, type_) for name, type_ in columns.items()]
        self._parameter = parameter
        self.table = _Recordset(parameter, columns).table_valued(*typed, name="given")
        self.c = self.table.c
        self.names = tuple(columns)

    def rows(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        """The parameter that hands in these rows."""
        return {self._parameter: to_json(list(rows)).decode()}

    def values(self, values: Iterable[Any]) -> dict[str, str]:
        """The parameter that hands in rows of one column."""
        (name,) = self.names
        return self.rows({name: value} for value in values)


class _Recordset(FunctionElement[Any]):
    inherit_cache = True  # the columns are part of the key: `table_valued` puts them into the type

    def __init__(self, parameter: str, columns: Types) -> None:
        self.parameter = bindparam(parameter, type_=Text)
        self.types = {name: type_() for name, type_ in columns.items()}
        super().__init__(self.parameter)


@compiles(_Recordset, "postgresql")
def _on_postgresql(element: _Recordset, compiler: SQLCompiler, **options: Any) -> str:
    type_name = compiler.dialect.type_compiler_instance.process
    typed = ", ".join(f"{name} {type_name(type_)}" for name, type_ in element.types.items())
    parameter = compiler.process(cast(element.parameter, JSON), **options)
    return f"(SELECT * FROM json_to_recordset({parameter}) AS _({typed}))"  # noqa: S608 - names of columns


@compiles(_Recordset, "sqlite")
def _on_sqlite(element: _Recordset, compiler: SQLCompiler, **options: Any) -> str:
    selected = ", ".join(f"value ->> '{name}' AS {name}" for name in element.types)
    return f"(SELECT {selected} FROM json_each({compiler.process(element.parameter, **options)}))"  # noqa: S608
