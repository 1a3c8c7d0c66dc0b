"""Model fields and indexes of this app, and the widths of its columns.

A value longer than its column is a validation error at the call, never a database error.
"""

from collections.abc import Sequence
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


class PartialIndex(models.Index):
    """An index of the rows that meet a condition, useful on databases without such indexes too.

    PostgreSQL does not use conditions that the index implies to find a place in it, so its
    columns must not be those of the condition. MariaDB ignores the condition, so there those
    columns (``instead``) come first.
    """

    def __init__(self, *expressions: Any, instead: Sequence[str] = (), **options: Any) -> None:
        super().__init__(*expressions, **options)
        self.instead = tuple(instead)

    def deconstruct(self) -> Any:
        path, expressions, options = super().deconstruct()
        return path, expressions, {**options, "instead": self.instead}

    def create_sql(
        self, model: type[models.Model], schema_editor: Any, using: str = "", **kwargs: Any
    ) -> Any:
        if schema_editor.connection.features.supports_partial_indexes:
            return super().create_sql(model, schema_editor, using, **kwargs)
        names = [*self.instead, *(name for name, _ in self.fields_orders)]
        whole = models.Index(fields=names, name=self.name)
        return whole.create_sql(model, schema_editor, using, **kwargs)
