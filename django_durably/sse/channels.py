"""Channels: which events a listener wants. Listeners with equal channels share one."""

from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from django_durably.sse.envelopes import Envelope
from django_durably.storage.events import ONLY_IN_LISTS
from django_durably.storage.queries import RunFilter


@dataclass(frozen=True, slots=True)
class RunChannel:
    """The events of one run, whole."""

    run_id: UUID

    @property
    def brief(self) -> bool:
        return False

    def wants(self, event: Envelope) -> bool:
        return event.run_id == self.run_id and event.type not in ONLY_IN_LISTS

    def __str__(self) -> str:
        return f"run:{self.run_id}"


@dataclass(frozen=True, slots=True)
class ListChannel:
    """The events of all runs that a filter matches, without what is large in them.

    The filter is the one that the policy has narrowed, so that two listeners share a channel only
    when they may see the same.
    """

    filter: RunFilter

    @property
    def brief(self) -> bool:
        return True

    def wants(self, event: Envelope) -> bool:
        return self.filter.matches(event.job_name, event.labels)

    def __str__(self) -> str:
        parts = [("jobName", name) for name in sorted(self.filter.job_names or ())]
        parts += [(f"label.{key}", value) for key, value in sorted(self.filter.labels)]
        return f"runs?{urlencode(parts, errors='replace')}"


Channel = RunChannel | ListChannel
