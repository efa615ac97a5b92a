"""A server on loopback that speaks as much of the hub's API as its client asks for a dataset."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

REPOSITORY = "lmarena-ai/arena-human-preference-55k"
COMMIT = "5" * 40

Break = Literal["hang", "close", "reset"]


class LoopbackHub:
    """What the server holds, and what was asked of it."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.recorded = {name: hashlib.sha256(held).hexdigest() for name, held in files.items()}
        self.status: tuple[int, dict[str, str]] | None = None
        self.starts: list[int] = []
        """The first byte of every request for a file."""
        self.breaks: list[tuple[int, Break]] = []
        """Offsets at which the sending of a file breaks off, each once."""
        self.arrived: Callable[[], bool] = lambda: True
        """Whether the client has put down what was sent: asked before it breaks off."""
        self.authorization: str | None = None
        self.reached = threading.Event()
        self.release = threading.Event()
        self.url = ""

    def info(self) -> dict[str, object]:
        """What the hub says of the dataset."""
        siblings = [
            {
                "rfilename": name,
                "size": len(held),
                "blobId": hashlib.sha1(held).hexdigest(),
                "lfs": {"sha256": self.recorded[name], "size": len(held), "pointerSize": 134},
            }
            for name, held in self.files.items()
        ]
        return {"id": REPOSITORY, "sha": COMMIT, "siblings": siblings}


@contextmanager
def answering(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answer on a free port of loopback until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serving(hub: LoopbackHub) -> Iterator[LoopbackHub]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            hub.authorization = self.headers["Authorization"]
            resolved = f"/datasets/{REPOSITORY}/resolve/{COMMIT}/"
            if hub.status is not None:
                status, headers = hub.status
                self.answer(status, b"{}", Content_Type="application/json", **headers)
            elif path == f"/api/datasets/{REPOSITORY}":
                self.answer(200, json.dumps(hub.info()).encode(), Content_Type="application/json")
            elif path.startswith(resolved):
                # As the real one does, it sends the client on to where large files lie.
                stored = f"{hub.url}/stored/{path.removeprefix(resolved)}"
                self.answer(302, b"", Location=stored)
            elif path.startswith("/stored/"):
                self.send_file(hub.files[path.removeprefix("/stored/")])
            else:
                self.answer(404, b"{}", X_Error_Code="RepoNotFound")

        def send_file(self, content: bytes) -> None:
            asked = self.headers["Range"]
            first = int(re.sub(r"\D", "", asked or "0"))
            hub.starts.append(first)
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(content) - first))
            if asked:
                place = f"bytes {first}-{len(content) - 1}/{len(content)}"
                self.send_header("Content-Range", place)
            self.end_headers()
            if not (hub.breaks and first <= hub.breaks[0][0]):
                self.wfile.write(content[first:])
                return
            end, how = hub.breaks.pop(0)
            self.wfile.write(content[first:end])
            self.close_connection = True
            while not (hub.arrived() or hub.release.is_set()):
                time.sleep(0.02)
            if how == "hang":
                hub.reached.set()
                hub.release.wait(60)
            elif how == "reset":
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                self.connection.close()

    with answering(Handler) as hub.url:
        try:
            yield hub
        finally:
            hub.release.set()
