"""The settings of a project: `DURABLY` in its settings module, read once and checked.

Durations are seconds or strings such as `"30d"` in the settings, and `timedelta` in here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from functools import lru_cache
from math import isfinite
from typing import Any, Final, TypeGuard

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

SETTING: Final = "DURABLY"
"""The name of the setting that holds all others."""

DEFAULT_POLICY: Final = "django_durably.access.DjangoPermissions"

_MiB: Final = 1024 * 1024
_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION_TEXT: Final = re.compile(r"([0-9]+)([dhms])")
_DOTTED_PATH: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one project, valid, with their defaults."""

    lease: timedelta = timedelta(seconds=30)
    """How long a claim is good for without renewal (`LEASE_SECONDS`)."""
    lease_renew: timedelta = timedelta(seconds=5)
    """How often a worker renews its leases (`LEASE_RENEW_SECONDS`)."""
    poll: timedelta = timedelta(seconds=1)
    """How often a worker looks for runs when no wake-up arrives (`POLL_SECONDS`)."""
    concurrency: int = 10
    """How many runs one worker process executes at once (`CONCURRENCY`)."""
    preserve_steps: bool = True
    """Whether the steps of a finished run are kept (`PRESERVE_STEPS`)."""
    retain_runs: timedelta | None = timedelta(days=30)
    """How long finished runs are kept; None means for ever (`RETAIN_RUNS`)."""
    database: str = "default"
    """The alias of the database that holds the runs (`DATABASE`)."""
    policy: str = DEFAULT_POLICY
    """The dotted path of the `Policy` subclass that guards the HTTP API (`POLICY`)."""
    labels: type | str | None = None
    """A TypedDict or pydantic model that every run's labels must match (`LABELS`)."""
    progress_throttle: timedelta = timedelta(milliseconds=100)
    """The least time between two progress events of a run (`PROGRESS_THROTTLE_MS`)."""
    max_body_bytes: int = _MiB
    """The largest request body that the HTTP API reads (`MAX_BODY_BYTES`)."""
    event_retention: timedelta = timedelta(hours=1)
    """How long events are kept for streams to catch up (`EVENT_RETENTION`)."""
    max_crashes: int = 5
    """After how many workers lost without a checkpoint between them a run fails (`MAX_CRASHES`)."""
    stream_duration: timedelta = timedelta(seconds=600)
    """After how long an event stream ends, for its client to resume (`STREAM_SECONDS`)."""
    stream_max_bytes: int = 16 * _MiB
    """After how many bytes an event stream ends, for its client to resume (`STREAM_MAX_BYTES`)."""
    channel_layer: str | None = None
    """The alias of the Channels layer that carries wake-ups (`CHANNEL_LAYER`)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong setting. `setting` is its name inside `DURABLY`, or `DURABLY` itself."""

    setting: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


def parse_duration(text: str) -> timedelta:
    """The duration that a text such as `"30d"`, `"24h"`, `"60m"` or `"45s"` stands for.

    Raises ValueError for any other text, and for a duration of zero.
    """
    match = _DURATION_TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"not a duration such as '30d', '24h', '60m' or '45s': {text!r}")
    try:
        duration = timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError as error:
        raise ValueError(f"too long a duration: {text!r}") from error
    if not duration:
        raise ValueError(f"a duration must be longer than nothing: {text!r}")
    return duration


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The project's settings. Raises ImproperlyConfigured, naming each setting that is wrong."""
    return build(getattr(django_settings, SETTING, {}))


def build(raw: object) -> Settings:
    """`raw` (what `DURABLY` holds) as settings; raises ImproperlyConfigured when it is wrong."""
    settings, problems = inspect(raw)
    if problems:
        raise ImproperlyConfigured(" ".join(map(str, problems)))
    return settings


def inspect(raw: object) -> tuple[Settings, list[Problem]]:
    """`raw` as settings, with the default for what is wrong, and what is wrong."""
    if not isinstance(raw, Mapping):
        message = f"{SETTING} must be a dictionary, not {raw!r}."
        return Settings(), [Problem(SETTING, message)]
    problems = [_unknown(name) for name in raw if name not in SPECIFICATIONS]
    values: dict[str, Any] = {}
    for name, (attribute, read) in SPECIFICATIONS.items():
        if name in raw:
            try:
                values[attribute] = read(raw[name])
            except ValueError as error:
                problems.append(Problem(name, f"{SETTING}[{name!r}] must be {error}"))
    settings = Settings(**values)
    return settings, problems or _check_relations(settings)


def _unknown(name: object) -> Problem:
    close = get_close_matches(str(name).upper(), SPECIFICATIONS, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"Known are {', '.join(SPECIFICATIONS)}."
    return Problem(SETTING, f"{SETTING} has an unknown setting {name!r}.", hint)


def _check_relations(settings: Settings) -> list[Problem]:
    problems = []
    if settings.lease_renew * 2 > settings.lease:
        message = f"{SETTING}['LEASE_RENEW_SECONDS'] must be at most half of LEASE_SECONDS."
        hint = "A lease that is renewed late by one beat must not run out."
        problems.append(Problem("LEASE_RENEW_SECONDS", message, hint))
    if settings.event_retention <= settings.poll:
        message = f"{SETTING}['EVENT_RETENTION'] must be longer than POLL_SECONDS."
        hint = "An event must not be purged before the streams had a chance to read it."
        problems.append(Problem("EVENT_RETENTION", message, hint))
    return problems


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _seconds(value: object) -> timedelta:
    with suppress(OverflowError):
        if _is_number(value) and (duration := timedelta(seconds=value)) > timedelta(0):
            return duration
    raise ValueError(f"a number of seconds greater than 0, not {value!r}.")


def _milliseconds(value: object) -> timedelta:
    with suppress(OverflowError):
        if _is_number(value) and value >= 0:
            return timedelta(milliseconds=value)
    raise ValueError(f"a number of milliseconds, 0 or more, not {value!r}.")


def _count(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise ValueError(f"a whole number of at least 1, not {value!r}.")


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"True or False, not {value!r}.")


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta) and value > timedelta(0):
        return value
    with suppress(ValueError):
        if isinstance(value, str):
            return parse_duration(value)
    raise ValueError(f"a duration such as '30d', '24h', '60m' or '45s', not {value!r}.")


def _duration_or_none(value: object) -> timedelta | None:
    if value is None:
        return None
    try:
        return _duration(value)
    except ValueError as error:
        raise ValueError(f"None or {error}") from None


def _alias(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise ValueError(f"the name of an alias, not {value!r}.")


def _alias_or_none(value: object) -> str | None:
    if value is None or (isinstance(value, str) and value):
        return value
    raise ValueError(f"None or the name of an alias, not {value!r}.")


def _dotted_path(value: object) -> str:
    if isinstance(value, str) and _DOTTED_PATH.fullmatch(value):
        return value
    raise ValueError(f"the dotted path of a class, not {value!r}.")


def _schema(value: object) -> type | str | None:
    if value is None or isinstance(value, type):
        return value
    with suppress(ValueError):
        return _dotted_path(value)
    raise ValueError(f"None, a TypedDict or model, or the dotted path of one, not {value!r}.")


SPECIFICATIONS: Final[Mapping[str, tuple[str, Callable[[object], Any]]]] = {
    "LEASE_SECONDS": ("lease", _seconds),
    "LEASE_RENEW_SECONDS": ("lease_renew", _seconds),
    "POLL_SECONDS": ("poll", _seconds),
    "CONCURRENCY": ("concurrency", _count),
    "PRESERVE_STEPS": ("preserve_steps", _flag),
    "RETAIN_RUNS": ("retain_runs", _duration_or_none),
    "DATABASE": ("database", _alias),
    "POLICY": ("policy", _dotted_path),
    "LABELS": ("labels", _schema),
    "PROGRESS_THROTTLE_MS": ("progress_throttle", _milliseconds),
    "MAX_BODY_BYTES": ("max_body_bytes", _count),
    "EVENT_RETENTION": ("event_retention", _duration),
    "MAX_CRASHES": ("max_crashes", _count),
    "STREAM_SECONDS": ("stream_duration", _seconds),
    "STREAM_MAX_BYTES": ("stream_max_bytes", _count),
    "CHANNEL_LAYER": ("channel_layer", _alias_or_none),
}
"""Each setting's attribute in `Settings`, and what reads it or raises ValueError."""


@receiver(setting_changed, dispatch_uid="django_durably.conf")
def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == SETTING:
        get_settings.cache_clear()
