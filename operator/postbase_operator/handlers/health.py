"""/livez, /readyz and /metrics: what the kubelet and Prometheus ask."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


async def serve(port: int, unready: Callable[[], str]) -> web.AppRunner:
    """Serves until the runner is cleaned up; `unready` answers "" or what is missing.

    Whoever answers /livez at all is alive: the loop that would be stuck is the one that answers.
    """

    def probe(question: Callable[[], str]) -> Callable[[web.Request], web.Response]:
        def answer(_request: web.Request) -> web.Response:
            trouble = question()
            return web.Response(text=trouble or "ok", status=503 if trouble else 200)

        return answer

    def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def route(request: web.Request) -> web.Response:
        return routes[request.path](request)

    routes = {"/livez": probe(str), "/readyz": probe(unready), "/metrics": metrics}
    app = web.Application()
    app.add_routes([web.get(path, route) for path in routes])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
