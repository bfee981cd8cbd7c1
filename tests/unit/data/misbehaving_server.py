"""A web server on this machine that answers as told: right, or wrong in a chosen way."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Request:
    path: str
    range: str | None
    sent: int = 0


@dataclass
class Server:
    """``answers[path]`` is used up one per request; the last one stays."""

    url: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def put(self, path: str, *answers: Answer) -> str:
        self.answers[path.partition("?")[0]] = list(answers)
        return self.url + path

    @property
    def sent(self) -> int:
        return sum(request.sent for request in self.requests)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Server

    def do_GET(self) -> None:
        queue = self.state.answers[self.path.partition("?")[0]]
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        self.request_record = Request(self.path, self.headers.get("Range"))
        self.state.requests.append(self.request_record)
        with contextlib.suppress(ConnectionError):
            answer(self)

    def head(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def body(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()
        self.request_record.sent += len(data)

    def hang_up(self) -> None:
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


Answer = Callable[[Handler], None]


def _offset(handler: Handler, size: int) -> int:
    found = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    return int(found[1]) if found else 0


def _begin(handler: Handler, content: bytes) -> bytes:
    start = _offset(handler, len(content))
    if start:
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.head(206, Content_Length=len(content) - start, Content_Range=span)
    else:
        handler.head(200, Content_Length=len(content), Accept_Ranges="bytes")
    return content[start:]


def right(content: bytes) -> Answer:
    return lambda handler: handler.body(_begin(handler, content))


def truncated(content: bytes, after: int) -> Answer:
    """Announce everything, send ``after`` bytes, hang up."""

    def answer(handler: Handler) -> None:
        handler.body(_begin(handler, content)[:after])
        handler.hang_up()

    return answer


def stalled(content: bytes, after: int) -> Answer:
    """Send ``after`` bytes, then nothing until the server closes."""

    def answer(handler: Handler) -> None:
        handler.body(_begin(handler, content)[:after])
        handler.state.closing.wait()
        handler.hang_up()

    return answer


def ignoring_range(content: bytes, after: int | None = None) -> Answer:
    def answer(handler: Handler) -> None:
        handler.head(200, Content_Length=len(content))
        handler.body(content[:after])
        if after is not None:
            handler.hang_up()

    return answer


def endless(content: bytes) -> Answer:
    """No length announced, more bytes than there should be."""

    def answer(handler: Handler) -> None:
        handler.head(200, Transfer_Encoding="chunked")
        for data in (content, b"and more", b""):
            handler.body(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    return answer


def unannounced(content: bytes) -> Answer:
    """Right bytes without a length, ended by the end of the connection."""

    def answer(handler: Handler) -> None:
        handler.head(200, Connection="close")
        handler.body(content)
        handler.hang_up()

    return answer


def status(code: int, **headers: object) -> Answer:
    return lambda handler: handler.head(code, Content_Length=0, **headers)


def redirect(location: str) -> Answer:
    return status(302, Location=location)


def wrong_range(content: bytes, span: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.head(206, Content_Length=len(content), Content_Range=span)
        handler.body(content)

    return answer


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    handler = type("BoundHandler", (Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        state = Server(f"http://127.0.0.1:{http.server_address[1]}")
        handler.state = state
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield state
        finally:
            state.closing.set()
            http.shutdown()
            thread.join()
