"""An OpenAI-compatible endpoint on loopback that fails in each way a real one can."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, bytes, dict[str, str]]


@dataclass
class Stub:
    """What it was asked, and what it does next: ``behave`` gets each request's body."""

    behave: Callable[[dict[str, Any]], Reply]
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


def completion(text: str, top: dict[str, float] | None = None, **changes: Any) -> Reply:
    """A sound answer, with the log-probabilities of the first token where they are given."""
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}}
    if top is not None:
        alternatives = [{"token": token, "logprob": value} for token, value in top.items()]
        choice["logprobs"] = {"content": [{**alternatives[0], "top_logprobs": alternatives}]}
    return 200, json.dumps({"choices": [choice], **changes}).encode(), {}


def refusal(status: int, message: str, **headers: str) -> Reply:
    """An error as such servers word it."""
    return status, json.dumps({"error": {"message": message}}).encode(), headers


SLOW: Reply = (0, b"", {})
"""No answer at all."""

DRIP: Reply = (-2, b"", {})
"""An answer that never ends, a byte at a time."""

GONE: Reply = (-1, b"", {})
"""The connection breaks."""


@contextmanager
def stub_endpoint(behave: Callable[[dict[str, Any]], Reply]) -> Iterator[Stub]:
    """A running endpoint."""
    stub = Stub(behave)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            stub.requests.append(body)
            stub.headers.append(dict(self.headers))
            status, content, headers = stub.behave(body)
            if status == 0:
                time.sleep(1.5)
                return
            if status == -2:
                self.send_response(200)
                self.end_headers()
                for _ in range(30):
                    self.wfile.write(b" ")
                    time.sleep(0.05)
                return
            if status == -1:
                self.connection.close()
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
