"""Parts of one page side by side, in no more threads than this process takes for pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import cv2

T = TypeVar("T")
U = TypeVar("U")


def in_parallel(of: Callable[[T], U], parts: Sequence[T], *, at_most: int | None = None) -> list[U]:
    """Return `of` each part, in their order; several at once where OpenCV may use several threads.

    What the first failing part raises is raised.
    """
    threads = min(max(cv2.getNumThreads(), 1), len(parts), at_most or len(parts))
    if threads <= 1:
        return [of(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(of, parts))
