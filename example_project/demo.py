"""One command that shows it all: `python -m example_project.demo`, or `make demo`.

It makes the database and a user, starts the site and a worker, imports the airports of the world,
and goes on serving until Ctrl-C. With `--once` (or `ONCE=1`) it ends after the import.
"""

import argparse
import os
import socket
import sys
import time
from contextlib import closing
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import Error as DatabaseError

from example_project.processes import ChildDied, Children, Signals, Stopped, poll_until
from example_project.terminal import ProgressBar

if TYPE_CHECKING:
    from django_durably import Run

HOST = "127.0.0.1"
START_SECONDS = 60
IMPORT_SECONDS = 900


class DemoFailed(Exception):
    """Why the demo cannot go on."""


def main() -> int:
    options = parse_arguments()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True, errors="replace")
    signals = Signals()
    try:
        prepare_site()
        with Children(signals) as children:
            show(children, options)
    except Stopped:
        print("\nStopped; an import that was not finished goes on with the next demo.")
        return 128 + signals.last
    except (ChildDied, CommandError, DemoFailed, ImproperlyConfigured) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except DatabaseError as error:
        print(f"\nThe database {database_name()} fails: {error}", file=sys.stderr)
        return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m example_project.demo", description=__doc__)
    once = os.environ.get("ONCE", "") not in ("", "0")
    parser.add_argument("--once", action="store_true", default=once, help="end after the import")
    parser.add_argument("--port", type=int, default=8000, help="the next free one from here on")
    return parser.parse_args()


def prepare_site() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "example_project.settings"
    django.setup()
    print(f"Database: {database_name()}")
    call_command("migrate", verbosity=0, interactive=False)
    call_command("create_demo_user", verbosity=0)


def show(children: Children, options: argparse.Namespace) -> None:
    port = free_port(options.port)
    start_worker(children)
    start_web_server(children, port)
    print(f"Site:     http://{HOST}:{port}/ (user demo, password demo)")
    report(follow(children, trigger_import()))
    if not options.once:
        trigger_check()
        serve(children, f"http://{HOST}:{port}/")


def start_worker(children: Children) -> None:
    manage = Path(__file__).with_name("manage.py")
    command = [sys.executable, str(manage), "run_worker", "--shutdown-timeout", "5"]
    children.start("worker", command, log_file("worker"))


def start_web_server(children: Children, port: int) -> None:
    daphne = [sys.executable, "-m", "daphne", "--bind", HOST, "--port", str(port)]
    command = [*daphne, "example_project.asgi:application"]
    children.start("web server", command, log_file("web"))
    if not poll_until(lambda: answers(children, port), START_SECONDS):
        raise DemoFailed(f"The web server does not answer within {START_SECONDS} seconds.")


def trigger_import() -> "Run":
    """The run of an earlier demo if that was stopped in the middle, else a new one."""
    from django_durably import Run
    from example_project.airports.jobs import import_airports

    imports = Run.objects.for_job("import-airports")
    unfinished: Run | None = imports.active().order_by("created_at").first()
    if unfinished:
        print("Going on with the import that was stopped.")
        return unfinished
    print("Importing the airports of the world, in steps of 500:")
    return import_airports.trigger({}, labels={"from": "demo"})


def trigger_check() -> None:
    """A run that fails, for the admin to show."""
    from example_project.airports.jobs import check_airports

    check_airports.trigger({"country": "FJ"}, labels={"from": "demo"})
    print("\nA check of the airports of Fiji is about to fail. The admin shows where and why.")


def follow(children: Children, run: "Run") -> "Run":
    """Draws the progress of the run until it has ended."""
    with closing(ProgressBar()) as bar:

        def ended() -> bool:
            children.check()
            run.refresh_from_db()
            if run.progress:
                bar.draw(run.progress["current"], run.progress["total"], run.progress["message"])
            return run.is_terminal

        if not poll_until(ended, IMPORT_SECONDS):
            raise DemoFailed(f"The import did not end within {IMPORT_SECONDS} seconds.")
    if run.status != "completed":
        raise DemoFailed(f"The import is {run.status}: {run.error or 'no reason given'}")
    return run


def report(run: "Run") -> None:
    from example_project.airports.jobs import ImportOutput

    output = ImportOutput.model_validate(run.output)
    assert run.started_at
    assert run.completed_at
    seconds = (run.completed_at - run.started_at).total_seconds()
    waited = (run.started_at - run.created_at).total_seconds()
    print(
        f"\n{output.saved:,} airports of {output.countries} countries saved"
        f" in {seconds:.1f} s, begun {waited:.2f} s after the trigger."
        f"\n{run.completed_step_count} steps, each with its checkpoint."
    )
    if run.lease_generation > 1:
        print(f"Interrupted and gone on with {run.lease_generation - 1} times.")


def serve(children: Children, site: str) -> None:
    print(
        f"\n  {site}        the airports, and jobs to trigger"
        f"\n  {site}admin/durably/overview/  the admin: is work flowing?"
        f"\n\nUser demo, password demo. Logs: {log_file('*')}. Ctrl-C ends the demo."
    )
    try:
        while True:
            children.check()
            time.sleep(0.2)
    except Stopped:
        print("\nStopping.")


def free_port(first: int) -> int:
    for port in range(first, first + 100):
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise DemoFailed(f"No port is free from {first} to {first + 99}.")


def answers(children: Children, port: int) -> bool:
    children.check()
    with closing(socket.socket()) as probe:
        return probe.connect_ex((HOST, port)) == 0


def log_file(name: str) -> Path:
    from example_project.settings import FOLDER

    return FOLDER / f"{name}.log"


def database_name() -> str:
    database = settings.DATABASES["default"]
    place = f" on {database['HOST']}" if database.get("HOST") else ""
    return f"{database['NAME']}{place}"


if __name__ == "__main__":
    sys.exit(main())
