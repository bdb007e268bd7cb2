"""What needs no object: health, the description of the API, regions."""

from __future__ import annotations

from postbase_operator import __version__
from postbase_operator.gateway.call import Call
from postbase_operator.gateway.route import Answer
from postbase_operator.gateway.shapes import Health, Region, Regions

HTML = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
}


async def health(_call: Call) -> Answer:
    """Enveloped, and the same once more beside it: the API page shows it bare."""
    data = Health(version=__version__)
    bare = data.model_dump_json().encode()
    return Answer(data, whole=b'{"success":true,"data":' + bare + b"," + bare[1:])


async def openapi(call: Call) -> Answer:
    return Answer(b"{}", whole=call.services.openapi)


async def reference(call: Call) -> Answer:
    return Answer(b"{}", whole=call.services.reference, headers=HTML)


async def regions(call: Call) -> Answer:
    settings = call.services.settings
    default = settings.default_region
    found = [Region(name=name, default=name == default) for name in settings.all_regions]
    return Answer(Regions(regions=found))
