"""The reference page at /docs: the route table as plain HTML, nothing fetched from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any

from postbase_operator import __version__
from postbase_operator.gateway.bodies import NoBody, NoQuery
from postbase_operator.gateway.problems import STATUS
from postbase_operator.gateway.route import Route

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{font:13px/1.4 ui-monospace,monospace}h2{border-top:1px solid #ccc;padding-top:1rem}"
    "table{border-collapse:collapse}td,th{padding:.1rem .8rem .1rem 0;text-align:left;"
    "vertical-align:top}.m{font-weight:700}"
)


def page(routes: tuple[Route, ...]) -> str:
    contents = "".join(
        f'<tr><td class="m">{route.method}</td><td><a href="#{anchor(route)}"><code>'
        f"{escape(route.path)}</code></a></td><td>{escape(route.summary)}</td></tr>"
        for route in routes
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Postbase Cloud API</title>'
        f"<style>{STYLE}</style><h1>Postbase Cloud API {__version__}</h1>"
        "<p>Every answer is an envelope: <code>success</code> with <code>data</code>, or with "
        "<code>error</code> (<code>code</code>, <code>message</code>). Send "
        "<code>Authorization: Bearer &lt;access_token&gt;</code>. For programs: "
        '<a href="openapi.json">openapi.json</a>.</p>'
        f"<table>{contents}</table>{''.join(section(route) for route in routes)}</html>"
    )


def anchor(route: Route) -> str:
    return route.handler.__name__ + "-" + "-".join(p.strip("{}") for p in route.parts)


def section(route: Route) -> str:
    codes = ", ".join(f"{STATUS[code]}&nbsp;{code}" for code in route.codes)
    sent = fields(route.body.model_json_schema()) if route.body is not NoBody else ""
    asked = fields(route.query.model_json_schema()) if route.query is not NoQuery else ""
    shown = " or ".join(
        f"<code>{escape(', '.join(model.model_json_schema(mode='serialization')['properties']))}"
        "</code>"
        for model in route.answers
    )
    parts = (
        ("Body", sent),
        ("Query", asked),
        (f"Answer ({route.status})", shown),
        ("Errors", codes),
    )
    rows = "".join(f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in parts if text)
    token = "" if not route.public else "<p>Needs no token.</p>"
    return (
        f'<h2 id="{anchor(route)}">{escape(route.summary)}</h2><p><span class="m">{route.method}'
        f"</span> <code>{escape(route.path)}</code></p>{token}<table>{rows}</table>"
    )


def fields(schema: dict[str, Any]) -> str:
    """Each field, with its pattern or its bounds where it has any."""
    needed = schema.get("required", [])
    found = []
    for name, described in schema.get("properties", {}).items():
        choices = [described, *described.get("anyOf", [])]
        bounds = [
            f"{word} {each[word]}"
            for each in choices
            for word in ("pattern", "minimum", "maximum", "enum", "const")
            if word in each
        ]
        mark = "" if name not in needed else " (needed)"
        found.append(f"<code>{escape(name)}</code>{mark} {escape('; '.join(bounds))}")
    return "<br>".join(found)
