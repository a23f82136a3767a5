"""A tiny companion: it serves the core in use with llama.cpp, and takes up a new one by itself.

    python companion.py CORE_FOLDER [--port 8080]

``POST /chat`` with ``{"message": "…"}`` answers ``{"reply": "…", "generation": 3}``.
``GET /health?generation=3`` answers 200 once that generation is served, 503 before, so a study's
config can wait for it:

    "health_check": "curl -sf http://127.0.0.1:8080/health?generation=$EMOJUDGE_GENERATION"

A new core is loaded beside the old one, which answers until then and ends what it has begun, so
no request is dropped. It needs memory for two cores for that moment.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from llama_cpp import Llama

LOOK_SECONDS = 0.2
LARGEST_REQUEST = 64 << 10


@dataclass
class Core:
    """A loaded generation; one reply at a time, because a context holds one conversation."""

    generation: int
    model: Llama
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reply(self, message: str) -> str:
        """What the companion says."""
        with self.lock:
            answer = self.model.create_chat_completion(
                [{"role": "user", "content": message}], max_tokens=32, temperature=0
            )
        return answer["choices"][0]["message"]["content"]


class Companion:
    """Holds the core that answers, and exchanges it when ``current`` changes."""

    def __init__(self, folder: Path) -> None:
        self._current = folder / "current"
        self.problem = ""
        self._failed = 0
        self.core = self._load(self._named())

    def _named(self) -> dict:
        """The manifest is read once per look: it and its model are never a mix."""
        return json.loads((self._current / "manifest.json").read_text())

    def _load(self, manifest: dict) -> Core:
        model = Llama(manifest["model_path"], n_ctx=1024, verbose=False)
        return Core(manifest["generation"], model)

    def look(self) -> None:
        """Take up the core that is current now, if it is another one."""
        manifest = self._named()
        if manifest["generation"] != self._failed:
            # Another one was tried since: a passing trouble such as memory may be over.
            self._failed = 0
        if manifest["generation"] in (self.core.generation, self._failed):
            return
        try:
            self.core = self._load(manifest)
            self.problem, self._failed = "", 0
        except (OSError, ValueError) as problem:
            self.problem, self._failed = str(problem), manifest["generation"]

    def follow(self) -> None:
        """Look for ever."""
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                self.look()
            except (OSError, ValueError) as problem:
                self.problem = str(problem)


def handler(companion: Companion) -> type[BaseHTTPRequestHandler]:
    """The requests of one companion."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int, value: dict) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            core = companion.core
            wanted = parse_qs(urlsplit(self.path).query).get("generation")
            well = wanted is None or wanted == [str(core.generation)]
            said = {"generation": core.generation, "problem": companion.problem}
            self._answer(200 if well else 503, said)

        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            if size > LARGEST_REQUEST:
                self._answer(413, {"error": "too long"})
                return
            core = companion.core
            message = json.loads(self.rfile.read(size))["message"]
            self._answer(200, {"reply": core.reply(message), "generation": core.generation})

        def log_message(self, *arguments: object) -> None:
            """Quiet: conversations are nobody's business."""

    return Handler


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Serve the core in use.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    companion = Companion(options.folder)
    threading.Thread(target=companion.follow, daemon=True).start()
    server = ThreadingHTTPServer(("127.0.0.1", options.port), handler(companion))
    print(
        f"serving generation {companion.core.generation} on port {server.server_port}", flush=True
    )
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
