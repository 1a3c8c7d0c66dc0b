"""A page's end of a WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.sse.servers import WebProcess

PATIENCE = 20.0

Message = dict[str, Any]


class Page:
    """Sends and receives JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def hear(self, timeout: float = PATIENCE) -> Message:
        async with asyncio.timeout(timeout):
            message = json.loads(await self.connection.recv())
        assert isinstance(message, dict)
        return message

    async def until_closed(self) -> AsyncIterator[Message]:
        """All messages until the server closes the connection."""
        with suppress(ConnectionClosed):
            async with asyncio.timeout(PATIENCE):
                async for text in self.connection:
                    yield json.loads(text)

    @property
    def code(self) -> int:
        """With which the server has closed the connection."""
        code = self.connection.close_code
        assert code is not None
        return code

    async def subscribe(self, id: str = "a", **fields: Any) -> Message:
        """Subscribe, and return the answer."""
        await self.say(type="subscribe", id=id, **fields)
        return await self.hear()

    async def events(self, count: int) -> list[Message]:
        """The next messages, which must be events."""
        heard = [await self.hear() for _ in range(count)]
        assert {message["type"] for message in heard} == {"event"}
        return heard


@asynccontextmanager
async def page(
    web: WebProcess, path: str = "everybody", headers: dict[str, str] | None = None
) -> AsyncIterator[Page]:
    host, port = web.address
    url = f"ws://{host}:{port}/{path}"
    async with connect(url, additional_headers=headers, max_size=None) as connection:
        yield Page(connection)
