"""``manage.py durably_health``: exit 1 when work does not flow."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from django_durably.storage import queries


class Command(BaseCommand):
    help = "Exit with status 1 when no worker is alive or a pending run waits too long."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--max-wait",
            type=float,
            default=60.0,
            help="seconds that a run may wait to be started (60)",
        )

    def handle(self, **options: Any) -> None:
        health = queries.health()
        problems = []
        if not health.workers:
            problems.append("no worker is alive")
        if health.longest_wait is not None and health.longest_wait > options["max_wait"]:
            problems.append(
                f"the oldest pending run has waited {health.longest_wait:.0f} s, "
                f"longer than {options['max_wait']:.0f} s"
            )
        if problems:
            self.stderr.write("; ".join(problems))
            sys.exit(1)
        wait = "none is waiting" if health.longest_wait is None else f"{health.longest_wait:.1f} s"
        self.stdout.write(f"{health.workers} workers alive; oldest pending run: {wait}")
