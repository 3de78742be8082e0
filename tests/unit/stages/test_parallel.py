"""Parts side by side: in their order, in no more threads than pictures take, and never silently failed."""

import threading
from collections.abc import Iterator

import cv2
import pytest

from ecgstudio.stages.parallel import in_parallel


@pytest.fixture(params=[1, 2, 4])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """As many threads as OpenCV may use; what it was is put back."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(request.param)
    yield request.param
    cv2.setNumThreads(before)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_answers_come_in_the_order_of_the_parts(threads: int, count: int) -> None:
    assert in_parallel(lambda part: part * part, range(count)) == [part * part for part in range(count)]


@pytest.mark.parametrize("at_most", [None, 1, 2])
def test_no_more_run_at_once_than_may(threads: int, at_most: int | None) -> None:
    """As many parts as may run at once wait for one another; one more would be seen."""
    allowed = min(threads, at_most or threads)
    together, running, most = threading.Barrier(allowed, timeout=20), set[int](), [0]

    def part(_: int) -> None:
        running.add(threading.get_ident())
        together.wait()
        most[0] = max(most[0], len(running))
        together.wait()
        running.discard(threading.get_ident())

    in_parallel(part, range(2 * allowed), at_most=at_most)
    assert most[0] == allowed


def test_a_part_that_fails_is_told(threads: int) -> None:
    def part(number: int) -> int:
        if number == 1:
            raise ValueError("the second one")
        return number

    with pytest.raises(ValueError, match="the second one"):
        in_parallel(part, range(3))
