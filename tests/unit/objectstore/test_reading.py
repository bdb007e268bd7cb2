"""Whatever a network cuts, the bytes come once each and in order, or an error does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.objectstore.reading import Body, resumed
from postbase_operator.objectstore.retry import Limits
from postbase_operator.objectstore.store import Reason, StoreUnavailable

QUICK = Limits(attempts=4, first_pause=0.0, longest_pause=0.0)
CUT = StoreUnavailable(Reason.UNREACHABLE, "cut", passing=True)


class Server:
    """One object; each request gives so many bytes, then ends early, by an error or without."""

    def __init__(self, data: bytes, cuts: list[tuple[int, bool]], chunk: int) -> None:
        self.data, self.chunk = data, chunk
        self.cuts = iter(cuts)
        self.asked: list[tuple[int, str]] = []

    def opened(self, at: int, etag: str) -> Body:
        self.asked.append((at, etag))
        given_, by_error = next(self.cuts, (len(self.data), False))
        return Body(len(self.data), "v1", self._chunks(self.data[at : at + given_], by_error))

    def _chunks(self, data: bytes, by_error: bool) -> Iterator[bytes]:
        for at in range(0, len(data), self.chunk):
            yield data[at : at + self.chunk]
        if by_error:
            raise CUT


@given(
    data=st.binary(max_size=300),
    cuts=st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=20),
    chunk=st.integers(1, 64),
    share=st.floats(0, 1),
)
def test_each_byte_once(
    data: bytes, cuts: list[tuple[int, bool]], chunk: int, share: float
) -> None:
    offset = int(len(data) * share)
    server = Server(data, cuts, chunk)
    assert b"".join(resumed("k", server.opened, offset, QUICK)) == data[offset:]
    assert server.asked[0] == (offset, "")
    assert all(etag == "v1" for _, etag in server.asked[1:])


def test_tries_are_counted_from_the_last_byte_that_came() -> None:
    server = Server(b"x" * 100, [(1, True)] * 50, 10)
    assert len(b"".join(resumed("k", server.opened, 0, QUICK))) == 100
    stuck = Server(b"x" * 100, [(10, True)] + [(0, True)] * 100, 10)
    came: list[bytes] = []
    with pytest.raises(StoreUnavailable):
        came.extend(resumed("k", stuck.opened, 0, QUICK))
    assert b"".join(came) == b"x" * 10
    assert len(stuck.asked) == 1 + QUICK.attempts - 1


def test_a_cut_after_the_last_byte_is_no_cut() -> None:
    server = Server(b"abc", [(3, True)], 3)
    assert list(resumed("k", server.opened, 0, QUICK)) == [b"abc"]
    assert len(server.asked) == 1


def test_more_than_there_should_be_is_no_success() -> None:
    def opened(at: int, etag: str) -> Body:
        return Body(3, "v1", iter([b"abcd"]))

    with pytest.raises(StoreUnavailable, match="4 bytes came of an object of 3"):
        list(resumed("k", opened, 0, QUICK))


def test_what_does_not_pass_is_told_at_once() -> None:
    asked = []

    def opened(at: int, etag: str) -> Body:
        asked.append(at)
        raise StoreUnavailable(Reason.NO_SUCH_BUCKET, "gone")

    with pytest.raises(StoreUnavailable, match="gone"):
        list(resumed("k", opened, 0, QUICK))
    assert asked == [0]
