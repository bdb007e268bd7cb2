"""What the control file of a data folder says that no backup's record does. PURE.

By its offsets (src/include/catalog/pg_control.h), which are the same from PostgreSQL 13 to 18:
where the data lies before PostgreSQL runs on Railway there is no pg_controldata.
"""

from __future__ import annotations

import struct

FILE = "global/pg_control"
KNOWN = frozenset({1300, 1700, 1800})
"""pg_control_version, of majors 13 to 16, 17 and 18."""
_VERSION, _PREPARED = 8, 192


def max_prepared_transactions(control: bytes) -> int:
    """The setting of the server that wrote it last; 0 where the layout is not known."""
    (version,) = struct.unpack_from("=I", control, _VERSION)
    if version not in KNOWN:
        return 0
    (found,) = struct.unpack_from("=i", control, _PREPARED)
    return int(found)
