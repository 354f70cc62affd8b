"""What goes wrong with a database, told apart: try again, unavailable, or a fault of our own that nobody may hide."""

from collections.abc import Iterator
from contextlib import contextmanager
from sqlite3 import (
    SQLITE_BUSY,
    SQLITE_CANTOPEN,
    SQLITE_CORRUPT,
    SQLITE_FULL,
    SQLITE_IOERR,
    SQLITE_LOCKED,
    SQLITE_NOTADB,
    SQLITE_READONLY,
)

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backhaul.core.errors import ConfigurationError, StoreUnavailable
from backhaul.store.rights import GRANT

_COLLISIONS = {"40001", "40P01"}  # serialization failure, deadlock: rolled back, and worth another try
_OUTAGES = ("08", "28", "3D", "53", "57", "58")  # classes: connection, credentials, no database, resources, operator
_READ_ONLY = "25006"
_FORBIDDEN = "42501"
_TAKEN = "42P07"
_UNKNOWN_SETTING = "42704"
_NO_TLS = "rejected SSL upgrade"
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
_MISUSED = "ClientConfigurationError"  # of asyncpg
_BROKEN = "InternalClientError"  # the same, of a connection that breaks while a statement begins
_SQLITE_COLLISIONS = {SQLITE_BUSY, SQLITE_LOCKED}
_SQLITE_OUTAGES = {SQLITE_BUSY, SQLITE_LOCKED, SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_IOERR}
_SQLITE_REFUSALS = {
    SQLITE_CANTOPEN: "make its folder, and let this user read and write there, or correct BACKHAUL_DATABASE_URL",
    SQLITE_READONLY: "let this user write to it and to its folder",
    SQLITE_NOTADB: "correct BACKHAUL_DATABASE_URL, or move the file away",
    SQLITE_CORRUPT: "restore it from a back-up",
}
_PRIMARY_CODE = 0xFF
_REMEDY = "look whether it runs, and whether BACKHAUL_DATABASE_URL leads there"
WRITABLE = "let BACKHAUL_DATABASE_URL lead to the primary, or set default_transaction_read_only off for this user"
_REMEDIES = {
    _READ_ONLY: WRITABLE,
    _FORBIDDEN: GRANT,
    "53100": "make room on its disk",
    "53300": "raise max_connections, or run fewer processes",
}
_REFUSALS = {
    "28": "correct BACKHAUL_DATABASE_URL, or let this user in by pg_hba.conf",
    "3D": "correct BACKHAUL_DATABASE_URL, or make the database with `createdb`",
    "3F": GRANT,
    _FORBIDDEN: GRANT,
    _TAKEN: "give Backhaul a database of its own, for this one has tables of another application",
    _UNKNOWN_SETTING: "it is too old: bring it to PostgreSQL 13 or newer",
}
"""What no waiting mends, by how its SQLSTATE begins."""


def collided(error: Exception) -> bool:
    """Whether a transaction failed only because another one was in its way. It has then left nothing behind."""
    return _sqlstate(error) in _COLLISIONS or _sqlite_code(error) in _SQLITE_COLLISIONS


def read_only(error: BaseException) -> bool:
    """Whether the session takes no writes. It may never take any, whatever becomes of the database."""
    return _sqlstate(error) == _READ_ONLY


def unavailable(error: Exception, store: str) -> StoreUnavailable | None:
    """What to raise if the database could not be reached or did not answer in time; None for any other fault."""
    if isinstance(error, TimeoutError | PoolTimeout):
        return StoreUnavailable(f"the store {store} does not answer in time: {_REMEDY}, and at its load and its locks")
    if isinstance(error, FileNotFoundError):
        remedy = f"{_REMEDY}, and whether the file is there that PGSSLROOTCERT names"
        return StoreUnavailable(f"the store {store} cannot be reached ({error}): {remedy}")
    if isinstance(error, OSError):
        return StoreUnavailable(f"the store {store} cannot be reached ({error}): {_REMEDY}")
    if isinstance(error, DBAPIError) and _is_outage(error):
        remedy = _REMEDIES.get(_sqlstate(error) or "", _REMEDY)
        return StoreUnavailable(f"the store {store} is unavailable ({_words(error)}): {remedy}")
    return None


def refusal(error: BaseException | None, store: str, grant: str = GRANT) -> ConfigurationError | None:
    """What to raise if the database is there and turns us away, so that waiting is of no use; else None. `grant`: what
    to do about a right that is missing."""
    if isinstance(error, OSError) and _NO_TLS in str(error):
        remedy = "correct host and port in BACKHAUL_DATABASE_URL, or take sslmode out of it, or set ssl on"
        return ConfigurationError(f"the store {store} is no PostgreSQL that speaks TLS: {remedy}")
    if isinstance(error, OSError) and _UNTRUSTED in str(error):
        remedy = "name the file of its authority in PGSSLROOTCERT, or correct the name in BACKHAUL_DATABASE_URL"
        return ConfigurationError(f"the store {store} shows a certificate that is not trusted ({error}): {remedy}")
    if not isinstance(error, DBAPIError):
        return None
    if type(getattr(error.orig, "__cause__", None)).__name__ == _MISUSED:
        remedy = "correct sslmode in BACKHAUL_DATABASE_URL, and the files that PGSSLROOTCERT and its like name"
        return ConfigurationError(f"the store {store} cannot be asked ({_words(error)}): {remedy}")
    found = [remedy for state, remedy in _REFUSALS.items() if (_sqlstate(error) or "").startswith(state)]
    found += filter(None, [_SQLITE_REFUSALS.get(_sqlite_code(error) or 0)])
    if not found:
        return None
    remedy = grant if found[0] == GRANT else found[0]
    return ConfigurationError(f"the store {store} turns us away ({_words(error)}): {remedy}")


@contextmanager
def beginning(store: str) -> Iterator[None]:
    """In here, what no waiting mends is raised as `ConfigurationError`."""
    try:
        yield
    except (StoreUnavailable, DBAPIError) as error:
        cause = error if isinstance(error, DBAPIError) else error.__cause__
        refused = refusal(cause, store)
        if refused is None:
            raise
        raise refused from cause


def told(error: Exception, store: str, grant: str = GRANT) -> ConfigurationError | StoreUnavailable | None:
    """What to raise, for who begins with a database; None for a fault of our own."""
    return refusal(error, store, grant) or unavailable(error, store)


def _words(error: DBAPIError) -> str:
    """What the database says, in one line, without the class of the error and hints of its driver."""
    said = getattr(error.orig, "__cause__", None) or error.orig
    if type(said).__name__ == _BROKEN:
        return "the connection has broken"
    return " ".join(str(said).partition("HINT:")[0].split())


def _is_outage(error: DBAPIError) -> bool:
    state = _sqlstate(error) or ""
    return (
        error.connection_invalidated
        or state.startswith(_OUTAGES)
        or state in _COLLISIONS | {_READ_ONLY, _FORBIDDEN}
        or _sqlite_code(error) in _SQLITE_OUTAGES
        or type(error.orig).__name__ == "InterfaceError"
    )


def _sqlstate(error: BaseException) -> str | None:
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def _sqlite_code(error: Exception) -> int | None:
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY_CODE
