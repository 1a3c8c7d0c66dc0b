"""Where the tables of this package live."""

from __future__ import annotations

from typing import Any

from django.db.models import Model

from django_durably.conf import get_settings

_APP_LABEL = "durably"


class DurablyRouter:
    """Keeps this package's tables on the alias `DURABLY["DATABASE"]`, and says nothing of others.

    Belongs in `DATABASE_ROUTERS` when that alias is not `default`; does no harm otherwise.
    """

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return _alias_for(model._meta.app_label)

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        return _alias_for(model._meta.app_label)

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool | None:
        labels = {first._meta.app_label, second._meta.app_label}
        return True if labels == {_APP_LABEL} else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return db == get_settings().database if app_label == _APP_LABEL else None


def _alias_for(app_label: str) -> str | None:
    return get_settings().database if app_label == _APP_LABEL else None
