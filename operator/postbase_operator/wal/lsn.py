"""PURE: positions and segments, by the name that the rest of `wal` knows them by.

They live in `archive`, which lies below: keys and records of the bucket count in them too.
"""

from __future__ import annotations

from postbase_operator.archive.lsn import SEGMENT_SIZE as SEGMENT_SIZE
from postbase_operator.archive.lsn import Lsn as Lsn
from postbase_operator.archive.lsn import Segment as Segment
from postbase_operator.archive.lsn import history_name as history_name
from postbase_operator.archive.lsn import parse_size as parse_size
from postbase_operator.archive.lsn import segments as segments
