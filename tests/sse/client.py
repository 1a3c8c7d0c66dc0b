"""A client for event streams on plain sockets: a thousand of them fit into one test."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

PATIENCE = 30.0


@dataclass
class Message:
    """One message as `EventSource` understands it."""

    name: str = "message"
    id: str | None = None
    text: str | None = None
    retry: int | None = None

    @property
    def data(self) -> dict[str, Any]:
        data = json.loads(self.text or "{}")
        assert isinstance(data, dict)
        return data


@dataclass
class Stream:
    """An open stream. `last_id` is what the client would send when it comes back."""

    status: int
    headers: dict[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    last_id: str = ""
    retry: int | None = None
    raw: bytes = b""
    _buffer: bytes = field(default=b"", repr=False)

    async def messages(self) -> AsyncIterator[Message]:
        """Every message until the stream ends."""
        while True:
            while b"\n\n" in self._buffer:
                block, _, self._buffer = self._buffer.partition(b"\n\n")
                yield self._read(block.decode())
            chunk = await self._chunk()
            if not chunk:
                return
            self._buffer += chunk

    async def events(self, count: int | None = None, timeout: float = PATIENCE) -> list[Message]:
        """The next `count` events, or all until the stream ends; what `onmessage` would get."""
        found: list[Message] = []
        async with asyncio.timeout(timeout):
            async for message in self.messages():
                if message.name == "message" and message.text is not None:
                    found.append(message)
                    if len(found) == count:
                        break
        return found

    async def until(self, name: str, timeout: float = PATIENCE) -> Message:
        """Read until a message of this name."""
        async with asyncio.timeout(timeout):
            async for message in self.messages():
                if message.name == name:
                    return message
        raise AssertionError(f"the stream ended before {name}")

    async def types(self, count: int | None = None) -> list[str]:
        return [event.data["type"] for event in await self.events(count)]

    async def body(self) -> bytes:
        """The whole answer, for one that is no stream."""
        chunks = []
        while chunk := await self._chunk():
            chunks.append(chunk)
        return b"".join(chunks)

    async def _chunk(self) -> bytes:
        """The next chunk of the body; nothing at its end."""
        if self.headers.get("transfer-encoding") != "chunked":
            length = self.headers.get("content-length")
            if length is None:
                return await self.reader.read(65536)
            body = await self.reader.read(int(length))
            self.headers["content-length"] = str(int(length) - len(body))
            return body
        line = await self.reader.readline()
        if not line:
            return b""
        chunk = await self.reader.readexactly(int(line, 16))
        await self.reader.readexactly(2)
        return chunk

    def _read(self, block: str) -> Message:
        message, data = Message(), []
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                message.name = value
            elif name == "id":
                message.id = self.last_id = value
            elif name == "data":
                data.append(value)
            elif name == "retry":
                message.retry = self.retry = int(value)
        if data:
            message.text = "\n".join(data)
        return message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.writer.close()


async def open_stream(
    address: tuple[str, int],
    path: str,
    last_id: str = "",
    headers: dict[str, str] | None = None,
    receive_buffer: int | None = None,
) -> Stream:
    """Send a GET and read the head of the answer."""
    limit = receive_buffer or 2**20
    reader, writer = await asyncio.open_connection(*address, limit=limit)
    sent = {"Host": "127.0.0.1", "Accept": "text/event-stream", **(headers or {})}
    if last_id:
        sent["Last-Event-ID"] = last_id
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    async with asyncio.timeout(PATIENCE):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *fields = head.strip().split("\r\n")
    pairs = (line.partition(":") for line in fields)
    return Stream(
        int(status.split()[1]),
        {name.strip().lower(): value.strip() for name, _, value in pairs},
        reader,
        writer,
        last_id,
    )


@asynccontextmanager
async def opened(
    address: tuple[str, int], path: str, last_id: str = "", **options: Any
) -> AsyncIterator[Stream]:
    """A stream that the server has begun to serve, at least to its first message."""
    async with await open_stream(address, path, last_id, **options) as stream:
        assert stream.status == 200, await stream.body()
        yield stream
