from collections.abc import Iterator

import pytest

from django_durably.wakeups import close_wakeups


@pytest.fixture(autouse=True)
def _fresh_wakeups() -> Iterator[None]:
    close_wakeups()
    yield
    close_wakeups()
