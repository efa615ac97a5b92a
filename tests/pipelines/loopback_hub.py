"""A server on loopback that speaks as much of the hub's API as its client asks for a dataset."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

REPOSITORY = "lmarena-ai/arena-human-preference-55k"
COMMIT = "5" * 40


class LoopbackHub:
    """What the server holds, and what was asked of it."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.recorded = {
            name: hashlib.sha256(content).hexdigest() for name, content in files.items()
        }
        self.status: tuple[int, dict[str, str]] | None = None
        self.ranges: list[tuple[int, int]] = []
        self.hang_after: int | None = None
        self.drop_once_after: int | None = None
        self.reached = threading.Event()
        self.release = threading.Event()
        self.url = ""

    def info(self) -> dict[str, object]:
        return {
            "id": REPOSITORY,
            "_id": "6",
            "sha": COMMIT,
            "private": False,
            "gated": False,
            "disabled": False,
            "tags": [],
            "downloads": 1,
            "likes": 1,
            "siblings": [
                {
                    "rfilename": name,
                    "size": len(content),
                    "blobId": hashlib.sha1(content).hexdigest(),
                    "lfs": {
                        "sha256": self.recorded[name],
                        "size": len(content),
                        "pointerSize": 134,
                    },
                }
                for name, content in self.files.items()
            ],
        }

    def tree(self) -> list[dict[str, object]]:
        return [
            {
                "type": "file",
                "path": name,
                "size": len(content),
                "oid": hashlib.sha1(content).hexdigest(),
                "lfs": {"oid": self.recorded[name], "size": len(content), "pointerSize": 134},
            }
            for name, content in self.files.items()
        ]


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
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if hub.status is not None:
                status, headers = hub.status
                self.answer(status, b"{}", Content_Type="application/json", **headers)
            elif re.fullmatch(rf"/api/datasets/{REPOSITORY}(/revision/.+)?", path):
                self.answer(200, json.dumps(hub.info()).encode(), Content_Type="application/json")
            elif re.fullmatch(rf"/api/datasets/{REPOSITORY}/tree/{COMMIT}(/.+)?", path):
                self.answer(200, json.dumps(hub.tree()).encode(), Content_Type="application/json")
            elif path.startswith(f"/datasets/{REPOSITORY}/resolve/{COMMIT}/"):
                # As the real one does, it sends the client on to where large files lie.
                self.answer(
                    302, b"", Location=f"{hub.url}/stored/{path.partition(COMMIT + '/')[2]}"
                )
            elif path.startswith("/stored/"):
                self.send_range(hub.files[path.removeprefix("/stored/")])
            else:
                self.answer(404, b"{}", X_Error_Code="RepoNotFound")

        def send_range(self, content: bytes) -> None:
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
            assert found is not None
            first, last = int(found[1]), int(found[2])
            hub.ranges.append((first, last + 1))
            if hub.hang_after is not None and first >= hub.hang_after:
                hub.reached.set()
                hub.release.wait(60)
                self.close_connection = True
                return
            body = content[first : last + 1]
            if hub.drop_once_after is not None and first >= hub.drop_once_after:
                hub.drop_once_after = None
                self.send_response(206)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
                return
            self.answer(206, body, Content_Range=f"bytes {first}-{last}/{len(content)}")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hub
    finally:
        hub.release.set()
        server.shutdown()
        server.server_close()
        thread.join()
