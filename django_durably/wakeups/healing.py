"""Trying again after a failure: sooner first, then more patiently, without filling the log."""

from __future__ import annotations

import random
from typing import Final

from django_durably.wakeups.protocol import logger

FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 5.0


class Backoff:
    """The state of one thing that may fail and heal; `what` names it in the log."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._delay = 0.0

    def failed(self, error: BaseException) -> float:
        """Notes a failure and returns the seconds to wait before the next try."""
        if not self._delay:
            logger.warning("%s failed, polling until it is back: %s", self._what, error)
        self._delay = min(LONGEST_DELAY, self._delay * 2 or FIRST_DELAY)
        # Many processes lose one server at the same moment; they should not return as one.
        return self._delay * random.uniform(0.5, 1)

    def succeeded(self) -> None:
        """Notes that it works."""
        if self._delay:
            logger.info("%s is back", self._what)
        self._delay = 0.0
