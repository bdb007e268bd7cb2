"""All collectors and their names, by Prometheus' conventions: base units, `_total`, one prefix."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECONCILE_SECONDS = Histogram(
    "postbase_reconcile_duration_seconds",
    "Time of one reconcile run.",
    ["kind"],
    buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
RECONCILE_ERRORS = Counter(
    "postbase_reconcile_errors_total", "Reconcile runs that ended in an error.", ["kind", "error"]
)
QUEUE_DEPTH = Gauge("postbase_queue_depth", "Keys that wait for a worker.")
QUEUE_OLDEST_SECONDS = Gauge(
    "postbase_queue_oldest_seconds", "How long the oldest waiting key has been waiting."
)
API_REQUESTS = Counter(
    "postbase_api_requests_total",
    "Requests to the Kubernetes API; watches are not counted.",
    ["verb", "resource", "code"],
)
RAILWAY_REQUESTS = Counter(
    "postbase_railway_requests_total",
    "Requests to the Railway API; the outcome is ok or the kind of error.",
    ["operation", "outcome"],
)
LEADER = Gauge("postbase_leader", "1 where this replica reconciles.")
DATABASES = Gauge("postbase_databases", "Databases by the phase in their status.", ["phase"])

GATEWAY_REQUESTS = Counter(
    "postbase_gateway_requests_total", "Requests to the REST API.", ["route", "method", "code"]
)
GATEWAY_SECONDS = Histogram(
    "postbase_gateway_request_duration_seconds",
    "Time of one request to the REST API.",
    ["method"],
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30),
)
GATEWAY_STALE = Gauge(
    "postbase_gateway_stale_watches", "Kinds whose watch is cut: what is held of them is old."
)
