"""Asking the API over Django's handler for WSGI or for ASGI, in one way for both."""

import json
from dataclasses import dataclass
from typing import Any

from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.content)

    @property
    def error(self) -> str:
        """The message of an answer that is an error and nothing else."""
        assert list(self.json) == ["error"]
        return str(self.json["error"])


class Asker:
    """A client of one mount. `client` is Django's, with its session."""

    def __init__(self, client: Client | AsyncClient, mount: str) -> None:
        self.client = client
        self.mount = mount

    def at(self, mount: str) -> "Asker":
        return Asker(self.client, mount)

    def get(self, path: str, /, query: dict[str, Any] | None = None, **headers: str) -> Answer:
        return self.ask("GET", path, query, headers=headers)

    def delete(self, path: str, /, query: dict[str, Any] | None = None, **headers: str) -> Answer:
        return self.ask("DELETE", path, query, headers=headers)

    def post(
        self,
        path: str,
        /,
        query: dict[str, Any] | None = None,
        *,
        body: Any = None,
        **headers: str,
    ) -> Answer:
        return self.ask("POST", path, query, body, headers)

    def ask(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """`body` is JSON data, or bytes that are sent as they are."""
        data = body if isinstance(body, bytes) else b"" if body is None else to_json(body)
        response = self._send(
            method,
            f"/{self.mount}/{path}",
            data,
            "application/json",
            query_params=query,
            headers={name.replace("_", "-"): value for name, value in (headers or {}).items()},
        )
        return Answer(response.status_code, dict(response.headers), response.content)

    def _send(self, *args: Any, **kwargs: Any) -> Any:
        client: Any = self.client

        async def send() -> Any:
            return await client.generic(*args, **kwargs)

        if isinstance(client, AsyncClient):
            return async_to_sync(send)()
        return client.generic(*args, **kwargs)


def to_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
