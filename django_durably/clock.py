"""Time: the process's clock, the database's clock, and ids that sort by time.

Leases compare times of one clock only, the database's, so that a host with a wrong clock
cannot steal a lease. ``shift`` moves every clock of this module in this process; it is for tests.
"""

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from django.db.backends.base.base import BaseDatabaseWrapper


class _Shift:
    by = timedelta(0)


def now() -> datetime:
    """The process's time, aware, in UTC."""
    return datetime.now(UTC) + _Shift.by


@contextmanager
def shift(by: timedelta) -> Iterator[None]:
    """Move the clocks of this process by ``by`` within the block; shifts add up."""
    _Shift.by += by
    try:
        yield
    finally:
        _Shift.by -= by


def database_now_sql(connection: BaseDatabaseWrapper, plus: timedelta = timedelta(0)) -> str:
    """SQL for the database's time in UTC plus a duration, in the form Django stores times."""
    seconds = (_Shift.by + plus).total_seconds()
    return _NOW[connection.vendor](seconds)


def _postgresql_now(seconds: float) -> str:
    return f"(STATEMENT_TIMESTAMP() + INTERVAL '{seconds:.6f} seconds')"


def _sqlite_now(seconds: float) -> str:
    return f"STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW', '{seconds:+.3f} seconds')"


def _mysql_now(seconds: float) -> str:
    # NOW() is the session's local time there, while Django stores UTC.
    return f"(UTC_TIMESTAMP(6) + INTERVAL {seconds:.6f} SECOND)"


_NOW: dict[str, Callable[[float], str]] = {
    "postgresql": _postgresql_now,
    "sqlite": _sqlite_now,
    "mysql": _mysql_now,
}


class _Ticks:
    """Quarters of microseconds since the epoch, each handed out once by this process."""

    last = 0
    lock = threading.Lock()

    @classmethod
    def next(cls) -> int:
        nanoseconds = time.time_ns() + _Shift.by // timedelta(microseconds=1) * 1000
        milliseconds, rest = divmod(nanoseconds, 1_000_000)
        with cls.lock:
            cls.last = max(cls.last + 1, milliseconds << 12 | rest * 4096 // 1_000_000)
            return cls.last


def uuid7() -> uuid.UUID:
    """A UUIDv7 (RFC 9562, section 5.7) that is greater than every earlier one of this process.

    The 12 bits after the milliseconds hold their fraction (section 6.2, method 3), so that
    ids of several processes sort by time to a quarter of a microsecond.
    """
    tick = _Ticks.next()
    random_bits = int.from_bytes(os.urandom(8)) >> 2
    value = tick >> 12 << 80 | 0x7 << 76 | (tick & 0xFFF) << 64 | 0b10 << 62 | random_bits
    return uuid.UUID(int=value)
