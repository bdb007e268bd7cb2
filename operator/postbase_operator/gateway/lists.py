"""Lists, the newest first, in pages: joined from what each object's JSON is already.

A cursor is the place of the last object that was shown, so that what comes or goes meanwhile
shifts nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence

from postbase_operator.gateway.bodies import Paged
from postbase_operator.gateway.held import Held
from postbase_operator.gateway.problems import invalid
from postbase_operator.gateway.route import Answer

Render = Callable[[Held], bytes]


def fragment(held: Held, render: Callable[[Held], bytes]) -> bytes:
    """The object's JSON, made once for each of its versions."""
    if not isinstance(held.memo, bytes):
        held.memo = render(held)
    return held.memo


def page(field: str, found: Sequence[Held], asked: Paged, render: Render) -> Answer:
    """`found` is the whole list; one page of it as the answer's data."""
    begin = _after(found, asked.cursor) if asked.cursor else 0
    shown = found[begin : begin + asked.limit]
    more = begin + asked.limit < len(found)
    cursor = json.dumps(_cursor(shown[-1]) if more else None).encode()
    items = b",".join([render(held) for held in shown])
    return Answer(b'{"%b":[%b],"next_cursor":%b}' % (field.encode(), items, cursor))


def _cursor(last: Held) -> str:
    return base64.urlsafe_b64encode("|".join(last.order).encode()).decode().rstrip("=")


def _after(found: Sequence[Held], cursor: str) -> int:
    """Raises INVALID_REQUEST for a cursor that is none of ours."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        created, _, uid = base64.urlsafe_b64decode(padded).decode().partition("|")
    except ValueError:
        raise invalid("cursor: take it from next_cursor of the page before") from None
    if not uid:
        raise invalid("cursor: take it from next_cursor of the page before")
    return next((n for n, held in enumerate(found) if held.order < (created, uid)), len(found))
