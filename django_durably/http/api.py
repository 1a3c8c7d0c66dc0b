"""One mount of the API, with its policy."""

from __future__ import annotations

from functools import cached_property

from django.urls import URLPattern

from django_durably.access import Policy, default_policy
from django_durably.http.urls import patterns

APP_NAME = "durably"


class DurablyAPI:
    """The HTTP API under one policy: `path("api/durably/", DurablyAPI(policy=Mine()).urls)`.

    Without a policy it is the one that the settings name. A site may mount several, each with a
    `name` of its own, by which its URLs are reversed (`staff:runs`).
    """

    def __init__(self, policy: Policy | None = None, *, name: str = APP_NAME) -> None:
        if policy is not None and not isinstance(policy, Policy):
            raise TypeError(f"policy must be an instance of Policy, not {policy!r}")
        self._policy = policy
        self.name = name

    @property
    def policy(self) -> Policy:
        return self._policy or default_policy()

    @cached_property
    def patterns(self) -> list[URLPattern]:
        """The routes, for code that includes them by itself."""
        return patterns(self)

    @property
    def urls(self) -> tuple[list[URLPattern], str, str]:
        """What `path()` takes beside the prefix, which ends in a slash."""
        return self.patterns, APP_NAME, self.name
