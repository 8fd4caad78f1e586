"""Statements that every instance or every series needs, run by the module ``sqlite3`` under SQLAlchemy.

SQLAlchemy says what they are, once: to it, a statement costs more than all that SQLite does with one row, and while it
makes one, Python does nothing else. Parameters are positional, in the order in which a statement names its columns.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Table,
    bindparam,
    column,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.sql.elements import ClauseElement


@contextmanager
def driver_of(connection: Connection) -> Iterator[Any]:
    """The connection of the module ``sqlite3`` under SQLAlchemy's. Its errors are raised as SQLAlchemy's."""
    try:
        yield connection.connection.driver_connection
    except sqlite3.Error as error:
        kind = OperationalError if isinstance(error, sqlite3.OperationalError) else DBAPIError
        raise kind(None, None, error) from error


def as_list(values: Iterable[Any]) -> str:
    """Values as one parameter, however many they are: SQLite bounds the number of parameters."""
    return json.dumps(list(values))


def finding(*columns: Column[Any], by: Sequence[Column[Any]]) -> str:
    """The statement that finds ``columns`` of the rows with these values of ``by``."""
    return _compiled(select(*columns).where(*(each == bindparam(each.name) for each in by)))


def finding_listed(*columns: Column[Any], by: Column[Any]) -> str:
    """The same, by one column that has any of the values of a list."""
    return _compiled(select(*columns).where(is_listed(by)))


def is_listed(column_: Column[Any]) -> ColumnElement[bool]:
    """Whether a column has any of the values of a list, bound to ``listed``."""
    return column_.in_(select(column("value")).select_from(func.json_each(bindparam("listed"))))


def is_among(column_: Column[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """Whether a column has any of these values, however many they are."""
    return column_.in_(select(column("value")).select_from(func.json_each(as_list(values))))


def inserting(table: Table) -> str:
    """The statement that inserts a row, of all columns but the first, which is its number."""
    return _compiled(insert(table).values({name: bindparam(name) for name in table.c.keys()[1:]}))


def inserting_listed(table: Table) -> str:
    """The same for a list of rows: one call of SQLite, during which Python goes on with something else."""
    names = table.c.keys()[1:]
    values = (func.json_extract(column("value"), literal_column(f"'$[{at}]'")) for at in range(len(names)))
    return _compiled(insert(table).from_select(names, select(*values).select_from(func.json_each(bindparam("listed")))))


def _compiled(statement: ClauseElement) -> str:
    """A statement as SQLite reads it."""
    return str(statement.compile(dialect=sqlite.dialect()))
