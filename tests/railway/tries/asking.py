"""TODO"""

from __future__ import annotations

from railway.tries.without import Try

ASKING: tuple[Try, ...] = ()
