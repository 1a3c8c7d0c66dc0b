"""The queue in a database of its own: every table, transaction and wake-up is on that alias."""

import subprocess
import sys

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections, transaction

from django_durably import StepContext, get_job, job
from django_durably.models import Event, Run, Step
from django_durably.testing import run_job, run_until_idle
from tests.support.waiting import eventually

BOTH = ["default", "queue"]


@job("count-users-elsewhere")
def count_users(step: StepContext) -> int:
    return step.run("count", get_user_model().objects.count)


@pytest.mark.django_db(databases=BOTH)
def test_the_tables_are_there_and_nowhere_else() -> None:
    assert Run.objects.db == "queue"
    assert "durably_run" in connections["queue"].introspection.table_names()
    assert "durably_run" not in connections["default"].introspection.table_names()


@pytest.mark.django_db(databases=BOTH)
def test_a_body_uses_both_databases() -> None:
    get_user_model().objects.create_user("ada")
    run = run_job(count_users)
    assert (run.status, run.output) == ("completed", 1)
    assert Step.objects.using("queue").get().run_id == run.pk
    assert Event.objects.using("queue").filter(type="run:complete").count() == 1


@pytest.mark.django_db(databases=BOTH, transaction=True)
def test_a_trigger_is_part_of_its_own_databases_transaction_only() -> None:
    with transaction.atomic():
        kept = get_job("echo").trigger({})
        transaction.set_rollback(True)
    with transaction.atomic(using="queue"):
        get_job("echo").trigger({})
        transaction.set_rollback(True, using="queue")
    assert list(Run.objects.values_list("pk", flat=True)) == [kept.pk]
    assert run_until_idle() == 1


@pytest.mark.django_db(databases=BOTH, transaction=True)
def test_verbs_and_commands_work_there() -> None:
    run = get_job("echo").trigger({"a": 1}, labels={"org": "1"}, concurrency_key="k")
    run.cancel()
    again = run.retrigger()
    assert run_until_idle() == 1
    again.refresh_from_db()
    assert again.status == "completed"
    assert Run.objects.with_labels(org="1").count() == 2
    again.delete()
    call_command("purge_runs", "--older-than", "1s")
    assert Run.objects.with_labels(org="1").count() == 1


@pytest.mark.process
@pytest.mark.django_db(databases=BOTH, transaction=True)
def test_a_worker_takes_its_runs_from_there() -> None:
    runs = get_job("add-in-steps").batch_trigger([[1, 2, 3]] * 5)
    command = [sys.executable, "-m", "django", "run_worker", "--drain"]
    worker = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: worker.poll() is not None, 60)
    finally:
        worker.kill()
        worker.wait()
    assert worker.returncode == 0
    assert [run.output for run in Run.objects.filter(pk__in=[r.pk for r in runs])] == [6] * 5
