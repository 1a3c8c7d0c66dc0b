"""``manage.py purge_runs``: delete runs that ended long ago."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_durably.conf import parse_duration
from django_durably.models import Run
from django_durably.storage import retention


class Command(BaseCommand):
    help = "Delete terminal runs, with their steps and logs, that ended longer ago than a duration."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--older-than", required=True, help='such as "30d", "24h" or "60m"')
        parser.add_argument("--limit", type=int, help="delete at most so many")
        parser.add_argument("--dry-run", action="store_true", help="only count them")

    def handle(self, **options: Any) -> None:
        older_than = self._duration(options["older_than"])
        limit = options["limit"]
        if limit is not None and limit < 1:
            raise CommandError("--limit must be at least 1")
        if options["dry_run"]:
            count = retention.old_runs(Run.objects.all(), older_than)[:limit].count()
            self.stdout.write(f"{count} runs would be deleted")
        else:
            count = Run.objects.all().purge(older_than=older_than, limit=limit)
            self.stdout.write(f"{count} runs deleted")

    def _duration(self, text: str) -> timedelta:
        try:
            return parse_duration(text)
        except ValueError as error:
            raise CommandError(f"--older-than: {error}") from None
