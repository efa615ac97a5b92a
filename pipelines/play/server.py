"""What the page asks for: battles, what became of them, and reasons. Nothing is kept.

The page shows what strangers wrote, and any page of any site that is open in the
same browser can send requests to this one. So texts travel as JSON and are set
as text; the policy lets run the page's own script and nothing else; a request
must name this machine as its host, which one from a site whose name was pointed
here does not (DNS rebinding); and a body must say that it is JSON, which another
site's page may not without asking, and must be small.
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import polars as pl
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from featlab.errors import FeatlabError
from models.loaded import LoadedPredictor, one_battle
from models.stacking.explain import Explanation, explain_battle
from pipelines.play.battles import TEXTS
from pipelines.report.page import shown

HOSTS = ("127.0.0.1", "localhost")
LARGEST_BODY = 1 << 20
SHOWN_CHARACTERS = 20_000
SHOWN_FEATURES = 8


def make_app(model: LoadedPredictor, battles: pl.DataFrame, name: str) -> Starlette:
    """Return the server of the page.

    Parameters
    ----------
    model : LoadedPredictor
    battles : DataFrame
        As `pipelines.play.battles.read_voted` returns them.
    name : str
        Of the run.
    """
    page = (Path(__file__).parent / "page.html").read_text("utf-8")
    outcomes = list(model.ensemble.outcomes)
    # A prediction takes all cores; those who ask meanwhile wait.
    one_at_a_time = anyio.CapacityLimiter(1)

    async def reasons(battle: pl.LazyFrame) -> Explanation:
        return await anyio.to_thread.run_sync(
            explain_battle, model.ensemble, battle, limiter=one_at_a_time
        )

    def row(request: Request) -> int:
        number: int = request.path_params["number"]
        if number >= len(battles):
            raise HTTPException(404, "there is no such battle")
        return number

    async def home(_: Request) -> Response:
        return HTMLResponse(page)

    async def run(_: Request) -> Response:
        return JSONResponse({"run": shown(name), "battles": len(battles), "outcomes": outcomes})

    async def battle(request: Request) -> Response:
        texts = battles.select(TEXTS).row(row(request), named=True)
        return JSONResponse({text: _shown_turns(turns) for text, turns in texts.items()})

    async def answer(request: Request) -> Response:
        chosen = battles[[row(request)]]
        known = chosen.row(0, named=True)
        explained = await reasons(chosen.lazy())
        names = [shown(known[name], 200) if known[name] else None for name in _NAMES]
        stated = {outcome: known[f"stated_{outcome}"] for outcome in outcomes}
        return JSONResponse(
            {"vote": known["vote"], "names": names, "stated": stated, **_reasons(explained)}
        )

    async def asked(request: Request) -> Response:
        explained = await reasons(one_battle(*await _texts(request)))
        stated = dict(zip(outcomes, explained.probabilities, strict=False))
        return JSONResponse({"stated": stated, **_reasons(explained)})

    return Starlette(
        routes=[
            Route("/", home),
            Route("/run", run),
            Route("/battles/{number:int}", battle),
            Route("/battles/{number:int}/answer", answer),
            Route("/explain", asked, methods=["POST"]),
        ],
        middleware=[
            Middleware(Guarded, policy=policy_of(page)),
            Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False),
        ],
        exception_handlers={HTTPException: _refused, FeatlabError: _refused},
    )


_NAMES = ("model_a", "model_b")


def policy_of(page: str) -> str:
    """Return the content-security policy of a page: its own script and style, by their hashes."""
    script, style = (
        b64encode(sha256(content.encode("utf-8")).digest()).decode("ascii")
        for tag in ("script", "style")
        for content in re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    )
    return (
        f"default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


class Guarded:
    """Every answer with the headers that keep a browser from doing more than it is told.

    Parameters
    ----------
    app : ASGI application
    policy : str
    """

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self.app = app
        self.headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cache-Control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the headers."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        await self.app(scope, receive, guarded)


async def _texts(request: Request) -> list[str]:
    """Return prompt and responses of a body."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "the body must be JSON")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BODY:
            raise HTTPException(413, f"the texts are longer than {LARGEST_BODY >> 20} MiB")
    try:
        given = json.loads(body)
        texts = [given[name] for name in TEXTS]
        for text in texts:
            text.encode("utf-8")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        wanted = ", ".join(TEXTS)
        raise HTTPException(400, f"the body must hold {wanted}, each a text") from error
    return texts


def _shown_turns(turns: list[str | None]) -> list[str]:
    return [shown(turn or "", SHOWN_CHARACTERS) for turn in turns]


def _reasons(explained: Explanation) -> dict[str, Any]:
    features = [
        {
            "meaning": row["meaning"],
            "margin": row["margin"],
            "values": [_number(row[side]) for side in "ab"],
            "lines": [shown(line) for line in explained.passages.get(row["feature"], ())],
        }
        for row in explained.features.head(SHOWN_FEATURES).iter_rows(named=True)
    ]
    families = explained.families.select("family", "margin").rows()
    return {"margin": explained.margin, "families": families, "features": features}


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _refused(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
    return JSONResponse({"error": str(error)}, 400)
