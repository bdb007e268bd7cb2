"""Lists, the newest first, in pages: joined from what each object's JSON is already.

A cursor is the place of the last object that was shown, so that what comes or goes meanwhile
shifts nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from itertools import islice

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


def page(
    field: str,
    found: Sequence[Held],
    asked: Paged,
    render: Render,
    keep: Callable[[Held], bool] = lambda _: True,
) -> Answer:
    """`found` is the whole list, of which `keep` may leave some away; one page of it as the
    answer's data. Looks at no more than it shows: a list may have thousands."""
    begin = _after(found, asked.cursor) if asked.cursor else 0
    rest = (found[n] for n in range(begin, len(found)))
    shown = list(islice(filter(keep, rest), asked.limit + 1))
    more = len(shown) > asked.limit
    del shown[asked.limit :]
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
    return first_before(found, (created, uid))


def first_before(found: Sequence[Held], order: tuple[str, str]) -> int:
    """Where those begin that were made before; `found` has the newest first."""
    low, high = 0, len(found)
    while low < high:
        middle = (low + high) // 2
        if found[middle].order < order:
            high = middle
        else:
            low = middle + 1
    return low
