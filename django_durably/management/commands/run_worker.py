"""``manage.py run_worker``: claim and execute runs until told to stop."""

import sys
from argparse import SUPPRESS
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_durably.exceptions import NotFoundError
from django_durably.runtime.process import work, work_with_reloader
from django_durably.runtime.supervisor import Supervisor
from django_durably.runtime.worker import Options, Worker


class Command(BaseCommand):
    help = "Execute durable runs until SIGTERM or SIGINT; a second signal exits at once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--concurrency", type=_positive, help="runs at once in a process")
        parser.add_argument(
            "--processes", type=_positive, default=1, help="worker processes to keep running"
        )
        parser.add_argument(
            "--job", action="append", default=[], help="take only this job (repeat)"
        )
        parser.add_argument(
            "--drain", action="store_true", help="exit when nothing is left to claim"
        )
        parser.add_argument("--max-runs", type=_positive, help="exit after so many runs")
        parser.add_argument(
            "--shutdown-timeout",
            type=_seconds,
            default=20.0,
            help="seconds that steps have to end after a signal (20)",
        )
        parser.add_argument("--worker-id", help="a name for this process, unlike any before it")
        parser.add_argument(
            "--reload", action="store_true", help="start again when code changes (development)"
        )

        # The supervisor's process id: a child whose parent is gone stops.
        parser.add_argument("--parent", type=int, help=SUPPRESS)

    def handle(self, **options: Any) -> None:
        if options["processes"] > 1:
            self._supervise(options)
        elif options["reload"]:
            work_with_reloader(lambda parent: self._worker({**options, "parent": parent}))
        else:
            worker = self._worker(options)
            self._greet(worker)
            work(worker, leave=getattr(self, "_called_from_command_line", False))

    def _greet(self, worker: Worker) -> None:
        jobs = ", ".join(worker.jobs) or "no job: is there a jobs.py in an installed app?"
        self.stdout.write(f"Worker {worker.id} takes {jobs}\nCtrl-C stops it.")
        self.stdout.flush()

    def _worker(self, options: dict[str, Any]) -> Worker:
        try:
            return Worker(
                Options(
                    concurrency=options["concurrency"],
                    jobs=options["job"],
                    drain=options["drain"],
                    max_runs=options["max_runs"],
                    shutdown_timeout=options["shutdown_timeout"],
                    worker_id=options["worker_id"],
                    parent=options["parent"],
                )
            )
        except NotFoundError as error:
            raise CommandError(str(error)) from None

    def _supervise(self, options: dict[str, Any]) -> None:
        if options["reload"] or options["worker_id"]:
            raise CommandError("--processes does not go with --reload or --worker-id")
        self._worker(options)  # a wrong option must be told here, and not by children for ever
        renew = options["max_runs"] is not None and not options["drain"]
        code = Supervisor(options["processes"], options["shutdown_timeout"], renew).run()
        if code:
            sys.exit(code)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if number < 0:
        raise ValueError(text)
    return number
