"""Run `dawnlist demo-shop`: one page with a shelf, which asks a predictor and tells a collector."""

import contextlib
import html
import json
from collections.abc import AsyncIterator
from importlib import resources
from typing import Final
from urllib.parse import quote

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

SHELF_ITEMS: Final = 12
ANSWER_SECONDS: Final = 5.0
API_KEY_HEADER: Final = "x-api-key"


def build_demo_shop(predictor: str, collector: str, key: str, api_key: str) -> Starlette:
    """Build the application.

    Args:
        predictor: The predictor's address, as this process reaches it.
        collector: The collector's address, as browsers reach it.
        key: The collector's publishable key; empty if it asks for none.
        api_key: The predictor's key; empty if it asks for none. Browsers don't see it.
    """
    headers = {API_KEY_HEADER: api_key} if api_key else {}
    client = httpx.AsyncClient(base_url=predictor, headers=headers, timeout=ANSWER_SECONDS)
    page = _render_page(collector.rstrip("/"), key)

    async def answer_page(request: Request) -> Response:
        return HTMLResponse(page)

    async def answer_shelf(request: Request) -> Response:
        user = quote(request.query_params.get("user", ""), safe="")
        try:
            answer = await client.get(
                f"/v1/recommendations/{user}", params={"k": SHELF_ITEMS, "explain": "true"}
            )
            return JSONResponse(answer.json(), answer.status_code)
        except (httpx.HTTPError, json.JSONDecodeError) as error:
            message = f"the predictor at {predictor} does not answer: {error}"
            return JSONResponse({"error": message}, 502)

    @contextlib.asynccontextmanager
    async def close_client(app: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    routes = [Route("/", answer_page), Route("/shelf", answer_shelf)]
    return Starlette(routes=routes, lifespan=close_client)


def _render_page(collector: str, key: str) -> str:
    template = resources.files(__package__ or "").joinpath("page.html").read_text("utf-8")
    for name, value in {"collector": collector, "key": key}.items():
        template = template.replace(f"{{{{{name}}}}}", html.escape(value))
    return template


def run_demo_shop(
    predictor: str, collector: str, key: str, api_key: str, host: str, port: int
) -> None:
    """Serve the page until a signal ends the process."""
    app = build_demo_shop(predictor, collector, key, api_key)
    uvicorn.run(app, host=host, port=port, access_log=False, log_level="warning")
