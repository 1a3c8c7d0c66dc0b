from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_durably import conf


def test_every_setting_has_the_documented_default() -> None:
    assert conf.build({}) == conf.Settings(
        lease=timedelta(seconds=30),
        lease_renew=timedelta(seconds=5),
        poll=timedelta(seconds=1),
        concurrency=10,
        preserve_steps=True,
        retain_runs=timedelta(days=30),
        database="default",
        policy="django_durably.access.DjangoPermissions",
        labels=None,
        progress_throttle=timedelta(milliseconds=100),
        max_body_bytes=1_048_576,
        event_retention=timedelta(hours=1),
        max_crashes=5,
        stream_duration=timedelta(minutes=10),
        stream_max_bytes=16_777_216,
        channel_layer=None,
    )


def test_the_defaults_are_valid() -> None:
    assert conf.inspect({}) == (conf.Settings(), [])


@pytest.mark.parametrize(
    ("name", "value", "attribute", "expected"),
    [
        ("LEASE_SECONDS", 60, "lease", timedelta(minutes=1)),
        ("LEASE_RENEW_SECONDS", 0.5, "lease_renew", timedelta(milliseconds=500)),
        ("POLL_SECONDS", 0.05, "poll", timedelta(milliseconds=50)),
        ("CONCURRENCY", 1, "concurrency", 1),
        ("PRESERVE_STEPS", False, "preserve_steps", False),
        ("RETAIN_RUNS", "24h", "retain_runs", timedelta(hours=24)),
        ("RETAIN_RUNS", None, "retain_runs", None),
        ("RETAIN_RUNS", timedelta(days=2), "retain_runs", timedelta(days=2)),
        ("DATABASE", "queue", "database", "queue"),
        ("POLICY", "shop.policies.Tenants", "policy", "shop.policies.Tenants"),
        ("LABELS", "shop.labels.Labels", "labels", "shop.labels.Labels"),
        ("LABELS", dict, "labels", dict),
        ("PROGRESS_THROTTLE_MS", 0, "progress_throttle", timedelta()),
        ("MAX_BODY_BYTES", 1, "max_body_bytes", 1),
        ("EVENT_RETENTION", "60m", "event_retention", timedelta(hours=1)),
        ("MAX_CRASHES", 1, "max_crashes", 1),
        ("STREAM_SECONDS", 5, "stream_duration", timedelta(seconds=5)),
        ("STREAM_MAX_BYTES", 1, "stream_max_bytes", 1),
        ("CHANNEL_LAYER", "redis", "channel_layer", "redis"),
        ("CHANNEL_LAYER", None, "channel_layer", None),
    ],
)
def test_a_setting_is_read(name: str, value: object, attribute: str, expected: object) -> None:
    assert getattr(conf.build({name: value}), attribute) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEASE_SECONDS", 0),
        ("LEASE_SECONDS", "30"),
        ("LEASE_SECONDS", True),
        ("LEASE_SECONDS", float("nan")),
        ("LEASE_SECONDS", float("inf")),
        ("LEASE_SECONDS", 1e300),
        ("LEASE_RENEW_SECONDS", -1),
        ("POLL_SECONDS", None),
        ("POLL_SECONDS", 1e-9),
        ("CONCURRENCY", 0),
        ("CONCURRENCY", 1.5),
        ("CONCURRENCY", True),
        ("PRESERVE_STEPS", "yes"),
        ("PRESERVE_STEPS", 1),
        ("RETAIN_RUNS", 30),
        ("RETAIN_RUNS", "30 days"),
        ("RETAIN_RUNS", "0d"),
        ("RETAIN_RUNS", timedelta()),
        ("DATABASE", ""),
        ("DATABASE", None),
        ("POLICY", "AllowAny"),
        ("POLICY", "django_durably.access."),
        ("POLICY", None),
        ("LABELS", {"org": str}),
        ("LABELS", "Labels"),
        ("PROGRESS_THROTTLE_MS", -1),
        ("PROGRESS_THROTTLE_MS", float("inf")),
        ("MAX_BODY_BYTES", 0),
        ("EVENT_RETENTION", None),
        ("EVENT_RETENTION", 60),
        ("MAX_CRASHES", 0),
        ("STREAM_SECONDS", 0),
        ("STREAM_MAX_BYTES", 2.0),
        ("CHANNEL_LAYER", ""),
        ("CHANNEL_LAYER", 1),
    ],
)
def test_a_wrong_setting_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ImproperlyConfigured, match=rf"DURABLY\['{name}'\] must be "):
        conf.build({name: value})


def test_every_wrong_setting_is_a_problem_of_its_own() -> None:
    settings, problems = conf.inspect({"CONCURRENCY": 0, "MAX_CRASHES": 9, "DATABASE": 1})
    assert sorted(problem.setting for problem in problems) == ["CONCURRENCY", "DATABASE"]
    assert (settings.max_crashes, settings.concurrency) == (9, 10)


def test_an_unknown_setting_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"'LEASE_SECOND'. Did you mean 'LEASE_SECONDS'"):
        conf.build({"LEASE_SECOND": 3})


def test_an_unknown_setting_unlike_any_other_is_refused_with_what_there_is() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"'XYZ'.*Known are LEASE_SECONDS, .*LAYER"):
        conf.build({"XYZ": 3})


@pytest.mark.parametrize("raw", [None, [], "x"])
def test_the_setting_must_be_a_dictionary(raw: object) -> None:
    with pytest.raises(ImproperlyConfigured, match="DURABLY must be a dictionary"):
        conf.build(raw)


def test_leases_are_renewed_well_before_they_run_out() -> None:
    assert conf.build({"LEASE_SECONDS": 10}).lease == timedelta(seconds=10)
    with pytest.raises(ImproperlyConfigured, match=r"LEASE_RENEW_SECONDS.* half of LEASE_SECONDS"):
        conf.build({"LEASE_SECONDS": 9})


def test_events_outlive_a_poll() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"EVENT_RETENTION.* longer than POLL_SECONDS"):
        conf.build({"POLL_SECONDS": 60, "EVENT_RETENTION": "1m"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30d", timedelta(days=30)),
        ("24h", timedelta(hours=24)),
        ("60m", timedelta(minutes=60)),
        ("45s", timedelta(seconds=45)),
    ],
)
def test_a_duration_is_parsed(text: str, expected: timedelta) -> None:
    assert conf.parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "30", "d", "-1d", "1.5h", "1w", " 1d", "1d\n", "0s", "9" * 30 + "d", "²d"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        conf.parse_duration(text)


def test_settings_follow_django_s_in_tests(settings: Any) -> None:
    before = conf.get_settings()
    settings.DURABLY = {"CONCURRENCY": 3}
    assert conf.get_settings().concurrency == 3
    assert conf.get_settings() is conf.get_settings()
    settings.DURABLY = {}
    assert conf.get_settings() == conf.Settings()
    assert before is not conf.get_settings()


def test_a_project_without_the_setting_has_the_defaults(settings: Any) -> None:
    del settings.DURABLY
    assert conf.get_settings() == conf.Settings()


def test_wrong_settings_of_a_project_are_refused_when_read(settings: Any) -> None:
    settings.DURABLY = {"CONCURRENCY": 0}
    with pytest.raises(ImproperlyConfigured, match="CONCURRENCY"):
        conf.get_settings()
