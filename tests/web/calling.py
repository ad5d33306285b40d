"""Calls over HTTP, as a program without a library of ours makes them."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any, Self
from urllib.parse import urlsplit

from google.protobuf import json_format
from google.protobuf.message import Message

SERVICE_PATH = "/coordinator.v1.CoordinatorService/"


class HttpCaller:
    """Makes calls at ``url`` on one connection; to be closed."""

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        make: Any = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        more = {} if tls is None else {"context": tls}
        self._connection = make(parts.hostname, parts.port, timeout=60, **more)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._connection.close()

    def send(
        self, path: str, body: bytes | None, headers: dict[str, str] | None = None, method: str = "POST"
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        self._connection.request(method, path, body, headers=headers or {})
        response = self._connection.getresponse()
        return response.status, response.headers, response.read()

    def events(self, query: str = "", headers: dict[str, str] | None = None) -> EventReader:
        """Begin to read events."""
        self._connection.request("GET", f"/events?{query}", headers=headers or {})
        response = self._connection.getresponse()
        assert response.status == 200, response.read()
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        return EventReader(response)

    def call(
        self, method: str, request: Message | dict[str, Any], *, header: str | None = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Make a call, and return its status and its JSON; ``header`` is the credential."""
        value = json_format.MessageToDict(request) if isinstance(request, Message) else request
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        named |= {"Content-Type": "application/json"} | ({} if header is None else {"Authorization": header})
        status, _, body = self.send(SERVICE_PATH + method, json.dumps(value).encode(), named)
        found = json.loads(body)
        assert isinstance(found, dict)
        return status, found


class EventReader:
    """Reads the events of an answer that has begun; each is its fields by name, with ``data`` as JSON."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response

    def __iter__(self) -> EventReader:
        return self

    def __next__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while line := self._response.readline().decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            if name:
                found[name] = json.loads(value) if name == "data" else value
        if not found:
            if self._response.isclosed():
                raise StopIteration
            return next(self)
        return found
