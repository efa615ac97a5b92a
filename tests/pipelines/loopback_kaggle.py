"""Kaggle on loopback: a proxy that answers for the host Kaggle's client is pointed to.

The client lets its environment be chosen, not its address. Its environment
``LOCALHOST`` is plain HTTP, and plain HTTP goes through ``http_proxy``: this server.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.pipelines.loopback_hub import answering


class LoopbackKaggle:
    """What the server holds, and what was asked of it."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.status: int | None = None
        self.asked: list[dict[str, str]] = []
        self.ranges: list[str | None] = []
        self.authorization: str | None = None
        self.hang_after: int | None = None
        self.damaged = False
        self.release = threading.Event()
        self.url = ""

    def environment(self) -> dict[str, str]:
        """The variables that lead the client here."""
        return {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "http_proxy": self.url, "no_proxy": ""}


@contextmanager
def serving(kaggle: LoopbackKaggle) -> Iterator[LoopbackKaggle]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            asked = json.loads(self.rfile.read(length))
            kaggle.asked.append(asked)
            kaggle.authorization = self.headers["Authorization"]
            assert urlsplit(self.path).path.endswith("CompetitionApiService/DownloadDataFile")
            if kaggle.status is not None:
                body = json.dumps({"code": kaggle.status, "message": "refused"}).encode()
                self.answer(kaggle.status, body, Content_Type="application/json")
            elif asked["fileName"] not in kaggle.files:
                body = json.dumps({"code": 404, "message": "not found"}).encode()
                self.answer(404, body, Content_Type="application/json")
            else:
                self.answer(302, b"", Location=f"http://localhost/stored/{asked['fileName']}")

        def do_GET(self) -> None:
            content = kaggle.files[urlsplit(self.path).path.removeprefix("/stored/")]
            kaggle.ranges.append(self.headers["Range"])
            first = int(re.sub(r"\D", "", self.headers["Range"] or "0"))
            digest = hashlib.md5(content[:-1] if kaggle.damaged else content).digest()
            self.send_response(206 if self.headers["Range"] else 200)
            self.send_header("Content-Length", str(len(content) - first))
            self.send_header("Content-Type", "text/csv")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Last-Modified", "Thu, 02 May 2024 20:00:00 GMT")
            self.send_header("X-Goog-Hash", f"md5={base64.b64encode(digest).decode()}")
            self.end_headers()
            if kaggle.hang_after is not None and first < kaggle.hang_after:
                self.wfile.write(content[first : kaggle.hang_after])
                self.wfile.flush()
                kaggle.release.wait(60)
            else:
                self.wfile.write(content[first:])

    with answering(Handler) as kaggle.url:
        try:
            yield kaggle
        finally:
            kaggle.release.set()
