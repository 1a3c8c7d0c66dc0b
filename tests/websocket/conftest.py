import pytest

from tests.sse.conftest import StartWeb, start_web
from tests.sse.servers import WebProcess

__all__ = ["start_web"]

APPLICATION = "tests.websocket.asgi:application"


@pytest.fixture
def web(start_web: StartWeb) -> WebProcess:
    return start_web(application=APPLICATION)
