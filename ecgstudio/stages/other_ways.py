"""Other ways that a trace may take through a few columns: paths that bend little, by Viterbi over pairs of heights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64
from ecgstudio.stages.contract import FloatMap

BIN_PX = 4  # rows that are told apart
MOST_BINS = 28  # of a column: the most likely ones
FLOOR = 2e-3  # the network is never surer than this that a trace is not in a bin
LEAST_COLUMNS = 2
NARROW_PX, WIDE_PX, CENTRINGS, LEAST_NEAR = 6, 14, 2, 0.05  # heights are centred in a window as tall as their stroke


@dataclass(frozen=True, slots=True)
class Way:
    """What a path is charged for: nats per row that it bends, and per half-column beside another row's trace.

    `ink` is what it gains per row of ink that no other row explains.
    """

    bend: float
    beside: float
    ink: float


def smooth_path(likely: FloatMap, gain: FloatMap, before: F64, after: F64, *, bend: float) -> NDArray[np.intp]:
    """Return the bins [W] of the best path through log-likelihoods [N, W], W at least 2.

    `before` and `after` are the two heights (in bins) on either side. Passing from a bin to another in a column gains
    the difference of `gain` [N, W], a sum from the top down; each change of the slope by a bin costs `bend`.
    """
    bins, width = likely.shape
    kept = min(MOST_BINS, bins)
    at = np.sort(np.argpartition(-likely, kept - 1, axis=0)[:kept], axis=0)
    score = np.take_along_axis(likely, at, axis=0).astype(np.float32)
    y = at.astype(np.float32)

    def bent(d: FloatMap) -> FloatMap:
        return np.asarray(np.float32(-bend) * np.abs(d), np.float32)

    def passed(column: int) -> FloatMap:
        from_, to = at[:, column - 1], at[:, column]
        climbed = gain[to, column][None] - gain[from_, column][:, None]
        return np.asarray(np.sign(to[None] - from_[:, None]) * climbed, np.float32)

    best = score[:, 0] + bent(y[:, 0] - np.float32(2 * before[1] - before[0]))
    pairs = best[:, None] + score[None, :, 1] + bent(y[None, :, 1] - 2 * y[:, None, 0] + np.float32(before[1]))
    pairs += passed(1)
    back: list[NDArray[np.intp]] = []
    for column in range(2, width):
        ahead = y[None, None, :, column] - 2 * y[None, :, None, column - 1] + y[:, None, None, column - 2]
        triples = pairs[:, :, None] + bent(ahead)
        back.append(triples.argmax(axis=0))
        pairs = triples.max(axis=0) + score[None, :, column] + passed(column)
    pairs = pairs + bent(np.float32(after[0]) - 2 * y[None, :, -1] + y[:, None, -2])
    pairs += bent(np.float32(after[1] - 2 * after[0]) + y[None, :, -1])
    last, end = (int(i) for i in np.unravel_index(int(pairs.argmax()), pairs.shape))
    chosen = [end, last]
    for step in back[::-1]:
        chosen.append(int(step[chosen[-1], chosen[-2]]))
    return at[chosen[::-1], np.arange(width)]


def other_way(
    columns: NDArray[np.float16],
    height: F64,
    first: int,
    last: int,
    way: Way,
    *,
    taken: NDArray[np.bool_],
    left: FloatMap,
) -> F64 | None:
    """Return the heights [W] of a trace that takes another way through half-columns first to last; None if it has none.

    `columns` [H, W] are log-probabilities of a row's heights, `height` [W] its path. `taken` [H, last - first] is where
    the other rows' traces run, `left` (same shape) ink that they do not explain, less than 0 where paper is blank.
    """
    if last - first < LEAST_COLUMNS or first < LEAST_COLUMNS or last + LEAST_COLUMNS > len(height):
        return None
    chance = np.exp(columns[:, first:last].astype(np.float32))
    bins = len(chance) // BIN_PX
    binned = chance[: bins * BIN_PX].reshape(bins, BIN_PX, -1).sum(axis=1)
    middles = np.arange(bins) * BIN_PX + BIN_PX // 2
    likely = np.log(binned + np.float32(FLOOR)) - np.float32(way.beside) * taken[middles]
    gain = np.float32(way.ink) * np.cumsum(left, axis=0)[middles]
    around = (height[[first - 2, first - 1, last, last + 1]] - (BIN_PX - 1) / 2) / BIN_PX
    path = smooth_path(likely, gain, around[:2], around[2:], bend=way.bend * BIN_PX)
    return centred(chance, np.asarray(path * float(BIN_PX) + (BIN_PX - 1) / 2, np.float64))


def centred(chance: FloatMap, height: F64) -> F64:
    """Move heights [W] to the mean of what has a chance [H, W] near them; where nothing has they stay."""
    rows = np.arange(-WIDE_PX, WIDE_PX + 1)[:, None]
    steep = np.abs(np.gradient(height)) if len(height) > 1 else np.zeros(len(height))
    narrow = np.abs(rows) <= np.clip(NARROW_PX + steep, None, WIDE_PX)
    for _ in range(CENTRINGS):
        at = np.round(height).astype(int)[None] + rows
        inside = narrow & (at >= 0) & (at < len(chance))
        near = np.take_along_axis(chance, np.clip(at, 0, len(chance) - 1), axis=0) * inside
        mass = near.sum(axis=0)
        height = np.where(mass > LEAST_NEAR, (near * at).sum(axis=0) / np.maximum(mass, 1e-9), height)
    return np.asarray(height, np.float64)
