"""Database connections of a worker's threads: healed around a run, closed with their thread."""

from django.db import close_old_connections
from django.db import connections as django_connections

from django_durably.storage import database


def heal() -> None:
    """Close this thread's connections that are broken or too old, as Django does per request."""
    close_old_connections()


def close_all() -> None:
    """Close all connections of this thread."""
    django_connections.close_all()


def is_alive() -> bool:
    """True when this thread's connection to the runs' database still answers; else it is closed."""
    connection = database.connection()
    if connection.connection is not None and connection.is_usable():
        return True
    if not connection.in_atomic_block:
        connection.close()
    return False
