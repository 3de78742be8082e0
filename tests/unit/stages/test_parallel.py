"""Parts side by side: in their order, in no more threads than pictures take, and never silently failed."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import pytest

from ecgstudio.stages import parallel
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
def test_as_many_run_at_once_as_may_and_no_more(
    threads: int, at_most: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts wait for as many as may run; how many threads there are for them is asked of the pool."""
    taken: list[int] = []

    class Pool(ThreadPoolExecutor):
        def __init__(self, count: int) -> None:
            taken.append(count)
            super().__init__(count)

    monkeypatch.setattr(parallel, "ThreadPoolExecutor", Pool)
    allowed = min(threads, at_most or threads)
    together = threading.Barrier(allowed, timeout=20)
    in_parallel(lambda _: together.wait(), range(2 * allowed), at_most=at_most)
    assert taken == ([allowed] if allowed > 1 else [])


def test_a_part_that_fails_is_told(threads: int) -> None:
    def part(number: int) -> int:
        if number == 1:
            raise ValueError("the second one")
        return number

    with pytest.raises(ValueError, match="the second one"):
        in_parallel(part, range(3))
