"""What the tests of Railway's traps are worth: for each trap a try, which takes out what the
operator does about it, and names the test that must fail then. `make tries` makes them all, each in
a copy by itself, and prints what came of them."""

from __future__ import annotations

from railway.tries.asking import ASKING
from railway.tries.making import MAKING
from railway.tries.running import RUNNING
from railway.tries.without import Try as Try

TRIES = (*MAKING, *ASKING, *RUNNING)
