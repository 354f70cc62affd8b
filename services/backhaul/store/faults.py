"""What goes wrong with a database, told apart: try again, unavailable, or a fault of our own that nobody may hide."""

from sqlite3 import SQLITE_BUSY, SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_IOERR, SQLITE_LOCKED

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backhaul.core.errors import ConfigurationError, StoreUnavailable

_COLLISIONS = {"40001", "40P01"}  # serialization failure, deadlock: rolled back, and worth another try
_OUTAGES = ("08", "28", "3D", "53", "57", "58")  # classes: connection, credentials, no database, resources, operator
_REFUSALS = ("28", "3D")
"""Of these the ones that no waiting mends: the user, the password, or the name of the database is wrong."""
_READ_ONLY = "25006"  # a primary that has become a standby
_SQLITE_COLLISIONS = {SQLITE_BUSY, SQLITE_LOCKED}
_SQLITE_OUTAGES = {SQLITE_BUSY, SQLITE_LOCKED, SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_IOERR}
_PRIMARY_CODE = 0xFF
_REMEDY = "look whether it runs, and whether BACKHAUL_DATABASE_URL leads there"


def collided(error: Exception) -> bool:
    """Whether a transaction failed only because another one was in its way. It has then left nothing behind."""
    return _sqlstate(error) in _COLLISIONS or _sqlite_code(error) in _SQLITE_COLLISIONS


def unavailable(error: Exception, store: str) -> StoreUnavailable | None:
    """What to raise if the database could not be reached or did not answer in time; None for any other fault."""
    if isinstance(error, TimeoutError | PoolTimeout):
        return StoreUnavailable(f"the store {store} does not answer in time")
    if isinstance(error, OSError):
        return StoreUnavailable(f"the store {store} cannot be reached ({error}): {_REMEDY}")
    if isinstance(error, DBAPIError) and _is_outage(error):
        return StoreUnavailable(f"the store {store} is unavailable ({error.orig}): {_REMEDY}")
    return None


def refusal(outage: StoreUnavailable, store: str) -> ConfigurationError | None:
    """What to raise if the database is there and turns us away, so that waiting is of no use; else None."""
    cause = outage.__cause__
    if not isinstance(cause, DBAPIError) or not (_sqlstate(cause) or "").startswith(_REFUSALS):
        return None
    return ConfigurationError(f"the store {store} turns us away ({cause.orig}): correct BACKHAUL_DATABASE_URL")


def _is_outage(error: DBAPIError) -> bool:
    state = _sqlstate(error) or ""
    return (
        error.connection_invalidated
        or state.startswith(_OUTAGES)
        or state in _COLLISIONS | {_READ_ONLY}
        or _sqlite_code(error) in _SQLITE_OUTAGES
        or type(error.orig).__name__ == "InterfaceError"
    )


def _sqlstate(error: Exception) -> str | None:
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def _sqlite_code(error: Exception) -> int | None:
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY_CODE
