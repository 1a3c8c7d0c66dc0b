"""``manage.py durably_types``: the types of all jobs for a front end in TypeScript."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_durably.jobs import registry, typescript


class Command(BaseCommand):
    help = "Write the input and output types of every job as a TypeScript module."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", type=Path, help="the file to write; else standard output")
        parser.add_argument(
            "--check",
            action="store_true",
            help="write nothing; exit with status 1 when the file is not up to date",
        )

    def handle(self, **options: Any) -> None:
        path: Path | None = options["output"]
        if options["check"]:
            self._check(path)
        elif path is None:
            self.stdout.write(typescript.module(registry.all_jobs()), ending="")
        else:
            path.write_text(typescript.module(registry.all_jobs(), path.name))

    def _check(self, path: Path | None) -> None:
        if path is None:
            raise CommandError("--check needs --output, the file to look at")
        expected = typescript.module(registry.all_jobs(), path.name)
        if not path.exists() or path.read_text() != expected:
            raise CommandError(f"{path} is not up to date: run durably_types --output {path}")
