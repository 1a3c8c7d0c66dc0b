"""How fast the admin's pages are with 1,000,000 runs and 5,000,000 steps in PostgreSQL.

`python -m benchmarks.admin_pages [--runs N] [--keep]` fills a database of its own by SQL, asks for
every page several times, and prints medians, query counts, and each plan that reads a large table
from end to end (there should be none; `--plans` prints all plans). It exits 1 when a page takes
longer than 300 ms or such a plan is found.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

NAME = "durably_admin_pages"
LIMIT_MS = 300
ROUNDS = 5
LARGE = ("durably_run", "durably_step", "durably_runlabel", "durably_logentry", "durably_event")

RUNS = """
INSERT INTO durably_run (id, job_name, status, input, output, error, current_step_index,
    completed_step_count, labels, idempotency_key, concurrency_key, blocked, lease_owner,
    lease_expires_at, lease_generation, crashes, created_at, updated_at, started_at, completed_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
        || lpad(to_hex(i %% 4096), 3, '0') || '8' || lpad(to_hex(i), 15, '0'))::uuid,
    'job-' || i %% 20, status, '{"n": 1}',
    CASE status WHEN 'completed' THEN '{"ok": true}'::jsonb END,
    CASE status WHEN 'failed' THEN 'Connection to host-' || i || ' timed out' END,
    5, 5, jsonb_build_object('org', (i %% 1000)::text), 'order-' || i,
    CASE WHEN i %% 20 = 0 THEN 'key-' || i %% 3000 END, status = 'pending' AND i %% 7 = 0,
    CASE status WHEN 'leased' THEN 'worker-1' END,
    CASE status WHEN 'leased' THEN now() + INTERVAL '1 hour' END,
    1, 0, at, at, CASE WHEN status <> 'pending' THEN at + INTERVAL '40 ms' END,
    CASE WHEN status IN ('completed', 'failed', 'cancelled')
        THEN at + (i %% 977) * INTERVAL '9 ms' END
FROM (
    SELECT i, now() - INTERVAL '20 s' - (%(runs)s - i) * INTERVAL '0.55 s' AS at,
        CASE WHEN i > %(runs)s * 0.99 AND i <= %(runs)s - 20 THEN 'pending'
             WHEN i > %(runs)s - 20 THEN 'leased'
             WHEN i %% 50 = 7 THEN 'failed' WHEN i %% 100 = 8 THEN 'cancelled'
             ELSE 'completed' END AS status
    FROM generate_series(1, %(runs)s) AS i
) AS made ORDER BY i
ON CONFLICT DO NOTHING
"""

STEPS = """
INSERT INTO durably_step (run_id, name, "index", attempt, status, output, started_at, completed_at,
    lease_generation, worker)
SELECT id, 'step-' || n, n, 1,
    CASE WHEN n = 4 AND status = 'failed' THEN 'failed' ELSE 'completed' END, '{"saved": 500}',
    created_at + n * INTERVAL '80 ms', created_at + (n + 1) * INTERVAL '80 ms', 1, 'worker-1'
FROM durably_run, generate_series(0, 4) AS n
"""

OTHERS = """
INSERT INTO durably_runlabel (run_id, key, value) SELECT id, 'org', labels->>'org' FROM durably_run;
INSERT INTO durably_logentry (run_id, step_name, level, message, timestamp)
    SELECT id, 'step-1', 'info', 'saved', created_at FROM durably_run;
INSERT INTO durably_event (run_id, job_name, type, payload, labels, created_at)
    SELECT id, job_name, 'run:complete', '{}', labels, created_at FROM durably_run
    WHERE created_at > now() - INTERVAL '6 hours';
INSERT INTO durably_worker
    (id, host, pid, version, concurrency, busy, jobs, started_at, heartbeat_at)
    SELECT 'worker-' || i, 'host-' || i, i, '0.1.0', 10, 7, '["job-1", "job-2"]', now(),
    now() + INTERVAL '1 hour' FROM generate_series(1, 20) AS i;
VACUUM ANALYZE
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--keep", action="store_true", help="keep the database, and use it again")
    parser.add_argument("--plans", action="store_true", help="print every plan")
    options = parser.parse_args()
    prepare(options.runs)
    try:
        return measure(options.plans)
    finally:
        if not options.keep:
            drop()


def prepare(runs: int) -> None:
    os.environ["DURABLY_TEST_DATABASE"] = "postgresql"
    os.environ["DURABLY_TEST_NAME"] = NAME
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    exists = any(administer("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]))
    if not exists:
        list(administer(f"CREATE DATABASE {NAME}"))
    import django

    django.setup()
    if not exists:
        fill(runs)


def administer(sql: str, parameters: Any = None) -> Iterator[Any]:
    import psycopg

    from tests.support.databases import POSTGRESQL

    with psycopg.connect(POSTGRESQL.url, dbname="postgres", autocommit=True) as link:
        cursor = link.execute(sql, parameters)
        yield from cursor.fetchall() if cursor.description else ()


def drop() -> None:
    from django.db import connection

    connection.close()
    list(administer(f"DROP DATABASE {NAME}"))


def fill(runs: int) -> None:
    from django.core.management import call_command
    from django.db import connection

    from django_durably.storage import rollups

    call_command("migrate", verbosity=0)
    began = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute(RUNS, {"runs": runs})
        cursor.execute(STEPS)
        for sql in OTHERS.split(";"):
            cursor.execute(sql)
    while rollups.keep(timedelta(0)):
        pass
    print(f"Filled in {time.perf_counter() - began:.0f} s.")


def pages() -> dict[str, str]:
    from django.urls import reverse

    from django_durably.models import Run

    runs = reverse("admin:durably_run_changelist")
    middle = Run.objects.order_by("pk").filter(pk__gt=_in_the_middle()).values_list("pk", flat=True)
    failed = Run.objects.filter(status="failed").order_by("-pk").values_list("pk", flat=True)[0]
    keyed = Run.objects.filter(concurrency_key="key-0").order_by("-pk")[0].pk
    overview = reverse("admin:durably_overview_changelist")
    return {
        "overview, hour": overview,
        "overview, day": f"{overview}?period=day",
        "overview, week": f"{overview}?period=week&sort=time",
        "list": runs,
        "list, in the middle": f"{runs}?before={middle[0]}",
        "list, newer": f"{runs}?after={middle[0]}",
        **{f"list, {s}": f"{runs}?status={s}" for s in ("pending", "leased", "completed")},
        **{f"list, {s}": f"{runs}?status={s}" for s in ("failed", "cancelled")},
        "list, job": f"{runs}?job=job-3",
        "list, job and failed": f"{runs}?job=job-7&status=failed",
        "list, job without failures": f"{runs}?job=job-3&status=failed",
        "list, label": f"{runs}?label=org%3D17",
        "list, label of nothing": f"{runs}?label=org%3Dnobody",
        "list, worker": f"{runs}?worker=worker-1",
        "list, dates": f"{runs}?since={_day(4)}&until={_day(3)}",
        "search, id": f"{runs}?q={middle[0]}",
        "search, key": f"{runs}?q=order-500007",
        "search, label": f"{runs}?q=org%3D17",
        "search, label value": f"{runs}?q=17",
        "search, error": f"{runs}?q=timed+out",
        "search, nothing": f"{runs}?q=nowhere+to+be+found",
        "run": reverse("admin:durably_run_change", args=[middle[0]]),
        "run, failed": reverse("admin:durably_run_change", args=[failed]),
        "run, keyed": reverse("admin:durably_run_change", args=[keyed]),
        "run, history": reverse("admin:durably_run_history", args=[failed]),
        "trigger": reverse("admin:durably_run_trigger"),
        "admin index": reverse("admin:index"),
    }


def _in_the_middle() -> Any:
    from django_durably import clock
    from django_durably.admin.listing import first_id_of

    return first_id_of(clock.now() - timedelta(days=3))


def _day(ago: int) -> str:
    from django_durably import clock

    return (clock.now() - timedelta(days=ago)).date().isoformat()


def measure(all_plans: bool) -> int:
    from django.contrib.auth.models import User
    from django.test import Client

    user, _ = User.objects.get_or_create(username="bench", is_staff=True, is_superuser=True)
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    bad = 0
    print(f"{'page':<28} {'median ms':>9} {'worst':>7} {'queries':>8}")
    for name, url in pages().items():
        bad += measure_page(client, name, url, all_plans)
    print("All pages are fast, and no large table is read from end to end." if not bad else "BAD")
    return 1 if bad else 0


def measure_page(client: Any, name: str, url: str, all_plans: bool) -> int:
    times = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        answer = client.get(url)
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, (url, answer.status_code)
    median, worst = statistics.median(times[1:]), max(times[1:])
    statements = captured(client, url)
    print(f"{name:<28} {median:9.1f} {worst:7.1f} {len(statements):8}")
    bad = sum(explain(sql, all_plans) for sql in statements)
    return bad + (median > LIMIT_MS)


def captured(client: Any, url: str) -> list[str]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        client.get(url)
    return [query["sql"] for query in queries if query["sql"].startswith(("SELECT", "WITH"))]


def explain(sql: str, show: bool) -> bool:
    """Prints the plan of a statement if it reads a large table from end to end; whether it does."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, BUFFERS) " + sql)
        plan = [row[0] for row in cursor.fetchall()]
    scans = any(f"Seq Scan on {table} " in line for line in plan for table in LARGE)
    if scans or show:
        print("   ", "\n    ".join([sql[:300], *plan]))
    return scans


if __name__ == "__main__":
    sys.exit(main())
