"""The pages in another language and in another time zone."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone, translation

import django_durably
from django_durably.templatetags.durably_admin import age, at_text, capped, seconds
from django_durably.testing import run_job
from tests.admin.addresses import OVERVIEW, RUNS, page_of
from tests.testapp.jobs import fail

CATALOGUE = Path(django_durably.__file__).parent / "locale" / "de" / "LC_MESSAGES" / "django.po"


@pytest.fixture
def german(settings: Any) -> None:
    settings.LANGUAGE_CODE = "de"


@pytest.mark.usefixtures("german")
def test_speaks_german(admin: Client) -> None:
    run = run_job(fail, "x")
    with translation.override("de"):
        assert "Kein Worker lebt." in admin.get(OVERVIEW).content.decode()
        assert "fehlgeschlagen" in admin.get(RUNS).content.decode()
        assert "Erneut auslösen" in admin.get(page_of(run)).content.decode()


def test_every_text_is_translated() -> None:
    blocks = CATALOGUE.read_text().split("\n\n")[1:]
    left = [block for block in blocks if block.rstrip().endswith('msgstr ""')]
    assert left == []


def test_the_compiled_texts_are_those_of_the_catalogue(tmp_path: Path) -> None:
    fresh = tmp_path / "django.mo"
    try:
        subprocess.run(["msgfmt", "-o", fresh, CATALOGUE], check=True)
    except FileNotFoundError:
        pytest.skip("gettext is not installed")
    assert fresh.read_bytes() == CATALOGUE.with_suffix(".mo").read_bytes()


def test_times_are_in_the_current_time_zone() -> None:
    moment = datetime(2026, 7, 1, 12, tzinfo=UTC)
    with timezone.override("Asia/Tokyo"):
        assert "21:00:00 JST" in at_text(moment)
    with timezone.override("America/New_York"):
        assert "08:00:00 EDT" in at_text(moment)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0.0004, "0 ms"),
        (0.085, "85 ms"),
        (1.239, "1.24 s"),
        (12.34, "12.3 s"),
        (185, "3 min 5 s"),
        (7200, "2 h"),
        (187_200, "2 d 4 h"),
        (None, "\N{EN DASH}"),
        (-1, "0 ms"),
    ],
)
def test_durations_in_words(number: float | None, words: str) -> None:
    assert seconds(number) == words


def test_ages_of_nothing_and_counts() -> None:
    assert age(None) == "\N{EN DASH}"
    assert [capped(n) for n in (None, 0, 9_999, 10_001)] == ["", "0", "9,999", "10,000+"]
