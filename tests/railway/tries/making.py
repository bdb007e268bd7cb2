"""TODO"""

from __future__ import annotations

from railway.tries.without import Try

MAKING: tuple[Try, ...] = ()
