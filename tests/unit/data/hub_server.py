"""A web server on this machine that answers for large files as the Hugging Face Hub does.

``/{owner}/{name}/resolve/{revision}/{file}`` redirects to a store on another path and announces
size, SHA-256 and commit on the way; ``/plain/{file}`` sends a file and announces its size alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """``files[path]`` are the bytes; ``announced[path]`` replaces the true SHA-256."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    announced: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def put(self, path: str, content: bytes) -> str:
        self.files[path] = content
        return self.url + path

    def sent(self) -> list[str]:
        return [path for verb, path in self.requests if verb == "GET" and "/store" in path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        self.hub.requests.append((self.command, self.path))
        stored = self.path.startswith("/store")
        path = self.path.removeprefix("/store")
        content = self.hub.files.get(path)
        if content is None:
            self.head(404, Content_Length=0)
        elif "/resolve/" in path and not stored:
            digest = self.hub.announced.get(path, hashlib.sha256(content).hexdigest())
            self.head(
                302,
                Location=f"/store{path}",
                Content_Length=0,
                X_Repo_Commit=COMMIT,
                X_Linked_Size=len(content),
                X_Linked_ETag=f'"{digest}"',
                ETag='"another-thing"',
            )
        else:
            found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(found[1]) if found else 0
            span = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            self.head(
                206 if start else 200,
                Content_Length=len(content) - start,
                **(span if start else {}),
            )
            if body:
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(content[start:])

    def head(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


@contextlib.contextmanager
def serving() -> Iterator[Hub]:
    handler = type("BoundHandler", (Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        handler.hub = Hub(f"http://127.0.0.1:{http.server_address[1]}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield handler.hub
        finally:
            http.shutdown()
            thread.join()
