"""Model fields of this app, and the widths of its columns.

A value longer than its column is a validation error at the call, never a database error.
"""

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

JOB_NAME_LENGTH = 255
KEY_LENGTH = 255
STEP_NAME_LENGTH = 255
LABEL_KEY_LENGTH = 64
LABEL_VALUE_LENGTH = 255
WORKER_ID_LENGTH = 255


if TYPE_CHECKING:
    _Text = models.CharField[Any, Any]
else:
    _Text = models.CharField  # generic for type checkers alone


class KeyField(_Text):
    """Text that compares by its bytes on every database.

    MariaDB's default collations fold case, and ``utf8mb4_bin`` still ignores trailing spaces.
    The collation is not a ``db_collation``, which would tie the migration to one database.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            parameters["collation"] = "utf8mb4_nopad_bin"
        return parameters
