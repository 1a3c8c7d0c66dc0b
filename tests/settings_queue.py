"""The queue in a database of its own, beside the site's."""

from tests.settings import *  # noqa: F403
from tests.settings import DATABASE, DATABASES, NAME

DATABASES = {**DATABASES, "queue": DATABASE(f"{NAME}_queue")}
DATABASE_ROUTERS = ["django_durably.router.DurablyRouter"]
DURABLY = {"DATABASE": "queue"}
