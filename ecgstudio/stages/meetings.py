"""Where traces of several rows meet: whose stroke is whose, decided for all rows together by the ink there is.

The trace network sees one strip at a time. Where beats run into another row's it may give both rows the same stroke and
leave another to nobody. Here the paths of all rows are drawn again with the page's pen and compared with the picture
(analysis by synthesis): a row takes another way, two rows each other's, or they change places, if less ink is left that
no row explains, less blank paper is drawn on, and the paths bend less, for what the network finds less likely.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64
from ecgstudio.stages.contract import FloatMap
from ecgstudio.stages.other_ways import best_way, centred
from ecgstudio.stages.parallel import in_parallel
from ecgstudio.stages.pen import BROADEST, Pen, fitted_pen, ink_of
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.strips import STRIP_PX_PER_MM

PRESENT = 0.3
ROWS_APART = 3  # rows farther apart do not meet
TOUCH_PX = 6.0
JOINED, MARGIN = 16, 8  # half-columns: meetings closer than this are one; what is looked at beside them
LONGEST = 128  # half-columns: what is longer is no beat but rows that lie on each other
AROUND = 6  # half-columns beside where rows touch
LEAST_COLUMNS_SWAPPED, LONGEST_SWAP = 2, 72
BESIDE_PX = 6  # columns of the picture on either side
PEN_MEETINGS = 5  # the pen is measured at so many
# what a state costs: per px² of ink left and of blank paper drawn on, per px bent, per nat of unlikeliness
INK_LEFT, BLANK_DRAWN, BENT, UNLIKELY = 0.0145, 0.06, 0.008, 0.1
LEAST_GAIN = 0.1
# rows that share a stroke are told that it is theirs, all of them: the network is not believed beyond a tenth
MASS_HALF_PX, LEAST_MASS, UNSURE = 13, 0.1, 0.2
CHANGED_PX = 2.0
MOST_ROUNDS, MOST_STEPS = 8, 8  # in a round two rows are seldom changed more than twice
SWAPS_REFINED, NOT_HOPELESS = 2, -2.0  # swaps of two rows whose paths are then fitted to them
FARTHEST = 8  # meetings before and after in which a row may go as it should here
LAG_STEPS = (-0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75)
MOST_AWAY_PX = 60.0  # at one beat a row may have been read quite differently


def read_together(readings: Sequence[StripReading], *, only: Collection[int] | None = None) -> list[StripReading]:
    """Return rows of one page, from top to bottom, with those paths where they meet that explain the ink best.

    Rows without what the network said of them (`looked`), or not in `only`, stay as they are.
    """
    out = list(readings)
    if len(out) < 2:
        return out
    sheet = _Sheet.of(out)
    movable = {row for row in sheet.columns if only is None or row in only}
    meetings = [each for each in _meetings(sheet) if movable & each.rows]
    seen = sorted(frozenset().union(*(meeting.rows for meeting in meetings)) & sheet.columns.keys())
    sheet.inks = dict(zip(seen, in_parallel(lambda row: _ink(out[row]), seen), strict=True))
    pen = _pen_at(sheet, meetings)
    if pen is None:
        return out
    before = sheet.paths.copy()
    readers = [_Reader(sheet, meeting, pen, movable & meeting.rows) for meeting in meetings]
    for reader in readers:
        reader.run()
    _as_at_other_beats(sheet, readers, movable)
    for i in np.flatnonzero((sheet.paths != before).any(axis=1)):
        out[i] = _along(out[i], sheet.paths[i] - sheet.tops[i], before[i] - sheet.tops[i])
    return out


def _ink(reading: StripReading) -> FloatMap:
    """Return how inked a row's strip is, of which it is known what was seen."""
    assert reading.looked is not None
    return ink_of(reading.looked.brightest.astype(np.float32), reading.height_half, reading.presence_half > 0.5)


def _along(reading: StripReading, height: F64, before: F64) -> StripReading:
    """Return a row as read along another path, which is less sure where it differs."""
    count = len(height)
    changed = np.abs(height - before) > CHANGED_PX
    mass = reading.mass_half.copy()
    if reading.looked is not None:
        mass[:count][changed] = np.maximum(_mass(reading.looked.columns, height)[changed], UNSURE)
    height_half = reading.height_half.copy()
    height_half[:count] = height
    return replace(reading, height_half=height_half, mass_half=mass)


def _mass(columns: NDArray[np.float16], height: F64, first: int = 0) -> F64:
    """Return the network's probability of heights [W] near a path that begins at a half-column."""
    chance = columns[:, first : first + len(height)]
    rows = np.round(height).astype(int)[None] + np.arange(-MASS_HALF_PX, MASS_HALF_PX + 1)[:, None]
    near = np.take_along_axis(chance, np.clip(rows, 0, len(chance) - 1), axis=0).astype(np.float32)
    return np.asarray((np.exp(near) * ((rows >= 0) & (rows < len(chance)))).sum(axis=0), np.float64)


@dataclass(slots=True, eq=False)
class _Sheet:
    """All rows in one frame: strip pixels down the sheet."""

    columns: dict[int, NDArray[np.float16]]  # [H, W] of the rows of which it is known what was seen: log-probabilities
    tops: F64  # [R] where each strip's row 0 is
    paths: F64  # [R, n]
    present: NDArray[np.bool_]  # [R, n]
    inks: dict[int, FloatMap] = field(default_factory=dict)  # [H, W] of those that meet others

    @classmethod
    def of(cls, readings: Sequence[StripReading]) -> _Sheet:
        count = min(len(each.height_half) for each in readings) // 2 * 2
        tops = np.array([each.centre_mm * STRIP_PX_PER_MM - each.half_px + 0.5 for each in readings])
        return cls(
            columns={row: each.looked.columns for row, each in enumerate(readings) if each.looked is not None},
            tops=tops,
            paths=np.stack([each.height_half[:count] for each in readings]) + tops[:, None],
            present=np.stack([each.presence_half[:count] > PRESENT for each in readings]),
        )

    def pairs(self) -> Iterator[tuple[int, int]]:
        for i in range(len(self.paths)):
            yield from ((i, j) for j in range(i + 1, min(i + 1 + ROWS_APART, len(self.paths))))


@dataclass(frozen=True, slots=True)
class _Meeting:
    """Half-columns first to last in which traces of rows meet."""

    first: int
    last: int
    rows: frozenset[int]


def _meetings(sheet: _Sheet) -> list[_Meeting]:
    touch = {
        (i, j): touching(sheet.paths[i], sheet.paths[j]) & sheet.present[i] & sheet.present[j] for i, j in sheet.pairs()
    }
    anywhere = np.logical_or.reduce(list(touch.values()))
    joined = np.convolve(anywhere, np.ones(2 * JOINED + 1), mode="same") > 0
    found = []
    for first, last in _stretches(joined):
        low, high = first + MARGIN, min(last - MARGIN, sheet.paths.shape[1] - MARGIN)
        rows = frozenset(row for pair, met in touch.items() if met[first:last].any() for row in pair)
        if MARGIN <= low < high <= low + LONGEST:
            found.append(_Meeting(low, high, rows))
    return found


def touching(a: F64, b: F64) -> NDArray[np.bool_]:
    """Tell in which half-columns the strokes of two paths [n] touch."""
    (a_low, a_high), (b_low, b_high) = _strokes(a), _strokes(b)
    return np.asarray((a_low <= b_high + TOUCH_PX) & (b_low <= a_high + TOUCH_PX))


def _strokes(path: F64) -> tuple[F64, F64]:
    """Return from where to where a path's stroke goes in each half-column: half-way to its neighbours."""
    middles = (path[1:] + path[:-1]) / 2
    ends = np.stack([np.append(path[:1], middles), np.append(middles, path[-1:])])
    return np.minimum(ends.min(axis=0), path), np.maximum(ends.max(axis=0), path)


def _stretches(on: NDArray[np.bool_]) -> list[tuple[int, int]]:
    steps = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(np.int8)))
    return [(int(first), int(last)) for first, last in steps.reshape(-1, 2)]


def _pen_at(sheet: _Sheet, meetings: Sequence[_Meeting]) -> Pen | None:
    """Measure the page's pen where rows meet; None where there are no strokes that can be told apart."""
    lines = []
    for number in np.unique(np.linspace(0, len(meetings) - 1, PEN_MEETINGS).round().astype(int)) if meetings else ():
        meeting = meetings[number]
        for row in sorted(meeting.rows):
            if row in sheet.inks:
                window = _Window.of(sheet, meeting, row)
                lines.append((window.ink, [window.line(sheet.paths[other]) for other in _near(sheet, row)]))
    pen = fitted_pen(lines) if lines else BROADEST
    return pen if pen != BROADEST else None


def _near(sheet: _Sheet, row: int) -> list[int]:
    return [other for other in range(len(sheet.paths)) if abs(other - row) <= ROWS_APART + 1]


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """A row's strip around a meeting: some whole columns, all rows, and the lines that are drawn on it."""

    ink: FloatMap  # [H, right - left]
    left: int
    top: float
    around: slice  # half-columns
    lines: dict[int, FloatMap] = field(default_factory=dict)

    @classmethod
    def of(cls, sheet: _Sheet, meeting: _Meeting, row: int) -> _Window:
        count = sheet.paths.shape[1]
        left, right = max(meeting.first // 2 - BESIDE_PX, 0), min(meeting.last // 2 + BESIDE_PX, count // 2)
        around = slice(max(2 * left - BESIDE_PX, 0), min(2 * right + BESIDE_PX, count))
        return cls(sheet.inks[row][:, left:right], left, float(sheet.tops[row]), around)

    def line(self, path: F64) -> tuple[F64, F64]:
        """Return a path in the window's pixels, a little more on either side."""
        return np.arange(self.around.start, self.around.stop) / 2 - 0.25 - self.left, path[self.around] - self.top

    def drawn(self, pen: Pen, path: F64) -> FloatMap:
        return pen.drawn(*self.line(path), (self.ink.shape[0], self.ink.shape[1]))


Change = Mapping[int, F64]
"""Rows with the paths [n] that they take."""

NO_CHANGE: Change = {}
NO_WAY: tuple[float, F64 | None] = (-np.inf, None)


@dataclass(slots=True, eq=False)
class _Reader:
    """Finds the paths of the rows that meet at one place, step by step; the sheet's paths follow."""

    sheet: _Sheet
    meeting: _Meeting
    pen: Pen
    movable: Collection[int]
    _best: dict[int, tuple[float, Change]] = field(default_factory=dict)  # of rows alone, while those around them stay
    _windows: dict[int, _Window] = field(default_factory=dict)
    _likely: dict[int, FloatMap] = field(default_factory=dict)

    def run(self) -> None:
        """Let rows that touch change their paths as long as that is worth it.

        What is gained is seen on one strip, and strips differ by a little: so paths that there were are no way to go.
        """
        moves = np.zeros(len(self.sheet.paths), int)
        tried: dict[tuple[int, int], list[int]] = {}
        been = {self._places(NO_CHANGE)}
        for _ in range(MOST_ROUNDS):
            before = moves.sum()
            for pair in sorted(self._touch()):
                around = slice(max(pair[0] - ROWS_APART, 0), pair[1] + ROWS_APART + 1)
                for _ in range(MOST_STEPS):
                    stretches = self._touch().get(pair)
                    if stretches is None or tried.get(pair) == moves[around].tolist():
                        break
                    tried[pair] = moves[around].tolist()
                    new = (each for each in self._changes(*pair, stretches) if self._places(each[1]) not in been)
                    gain, best = max(new, key=lambda each: each[0], default=(0.0, NO_CHANGE))
                    if gain > LEAST_GAIN:
                        self.take(best)
                        been.add(self._places(NO_CHANGE))
                        moves[list(best)] += 1
            if moves.sum() == before:
                return

    def as_later(self, row: int, lag: float) -> F64 | None:
        """Return a row's path if it went here as it does so many half-columns later; None if it does, or cannot."""
        path = self.sheet.paths[row]
        part = _beside(self.meeting)
        later = _later(path[None], part, lag)
        if later is None:
            return None
        there = later[0]
        ends = np.r_[:MARGIN, len(there) - MARGIN : len(there)]
        level = float(np.median(path[part][ends] - there[ends]))
        first, last = self.meeting.first, self.meeting.last
        chance = np.exp(self.sheet.columns[row][:, first:last].astype(np.float32))
        top = self.sheet.tops[row]
        height = centred(chance, there[MARGIN:-MARGIN] + level - top) + top
        if np.abs(height - path[first:last]).max() < CHANGED_PX:
            return None
        out = path.copy()
        out[first:last] = height
        return out

    def take(self, change: Change) -> None:
        """Let rows take other paths, where they meet here."""
        part = slice(self.meeting.first, self.meeting.last)
        for row, path in change.items():
            self.sheet.paths[row, part] = path[part]
            for window in self._windows.values():
                window.lines.pop(row, None)
            self._best = {other: best for other, best in self._best.items() if abs(other - row) > ROWS_APART + 1}

    def _places(self, change: Change) -> bytes:
        """Return where the rows are, to the pixel, with a change."""
        part = slice(self.meeting.first, self.meeting.last)
        paths = [change.get(row, self.sheet.paths[row])[part] for row in sorted(self.meeting.rows)]
        return np.round(paths).tobytes()

    def _touch(self) -> dict[tuple[int, int], list[tuple[int, int]]]:
        part = slice(self.meeting.first, self.meeting.last)
        met = {
            (i, j): _stretches(touching(self.sheet.paths[i, part], self.sheet.paths[j, part]))
            for i, j in self.sheet.pairs() if i in self.meeting.rows and j in self.meeting.rows
        }  # fmt: skip
        return {pair: [(a + part.start, b + part.start) for a, b in found] for pair, found in met.items() if found}

    def _changes(self, i: int, j: int, stretches: Sequence[tuple[int, int]]) -> Iterator[tuple[float, Change]]:
        """Yield what two rows that touch may do, and what it gains.

        Each takes its best way, or the best one there is without the other, which then takes its best; or they change
        places from here to there.
        """
        for row, other in ((i, j), (j, i)):
            if row not in self.movable:
                continue
            yield self._with_gain({row: self._straight_on(row, stretches[0][0] - AROUND, stretches[-1][1] + AROUND)})
            if row not in self._best:
                self._best[row] = self._with_gain({row: self._best_way(row)})
            yield self._best[row]
            if other in self.movable:
                path = self._best_way(row, but=other)
                if np.abs(path - self.sheet.paths[row]).max() >= CHANGED_PX:
                    yield self._with_gain({row: path})
                    yield self._with_gain({row: path, other: self._best_way(other, beside={row: path})})
        if i in self.movable and j in self.movable:
            swaps = sorted(map(self._with_gain, self._swaps(i, j, stretches)), key=lambda each: -each[0])
            for gain, swap in swaps[:SWAPS_REFINED]:
                yield gain, swap
                if gain >= NOT_HOPELESS:
                    upper = self._best_way(i, near=swap[i], beside={j: swap[j]})
                    yield self._with_gain({i: upper, j: self._best_way(j, near=swap[j], beside={i: upper})})

    def _with_gain(self, change: Change) -> tuple[float, Change]:
        return self.gain(change), change

    def _straight_on(self, row: int, begin: int, end: int) -> F64:
        """Return the path of a row that goes straight from here to there, as nearly as the network sees it there."""
        first, last = max(begin, self.meeting.first), min(end, self.meeting.last)
        out = self.sheet.paths[row].copy()
        level = np.interp(np.arange(first, last), [first - 1, last], out[[first - 1, last]]) - self.sheet.tops[row]
        chance = np.exp(self.sheet.columns[row][:, first:last].astype(np.float32))
        out[first:last] = centred(chance, level) + self.sheet.tops[row]
        return out

    def _swaps(self, i: int, j: int, stretches: Sequence[tuple[int, int]]) -> Iterator[Change]:
        """Yield two rows with each other's paths between places where they touch."""
        paths = self.sheet.paths
        places = {place for stretch in stretches for place in stretch}
        places |= {a + int(np.argmin(np.abs(paths[i, a:b] - paths[j, a:b]))) for a, b in stretches}
        ordered = sorted(places)
        for at, begin in enumerate(ordered):
            for end in ordered[at + 1 :]:
                if LEAST_COLUMNS_SWAPPED <= end - begin <= LONGEST_SWAP:
                    upper, lower = paths[i].copy(), paths[j].copy()
                    upper[begin:end], lower[begin:end] = paths[j, begin:end], paths[i, begin:end]
                    yield {i: upper, j: lower}

    def _best_way(self, row: int, *, but: int = -1, beside: Change = NO_CHANGE, near: F64 | None = None) -> F64:
        """Return the path that a row has by the ink which the others leave, not counting one, some with other paths.

        If a path is given, the best one near it.
        """
        first, last, window = self.meeting.first, self.meeting.last, self._window(row)
        lines = [
            window.drawn(self.pen, beside[other]) if other in beside else self._line(row, other)
            for other in _near(self.sheet, row) if other not in (row, but)
        ]  # fmt: skip
        left = window.ink - np.maximum.reduce([np.zeros_like(window.ink), *lines])
        gained = np.where(left > 0, INK_LEFT, BLANK_DRAWN) * left**2 - BLANK_DRAWN * (window.ink - 1) ** 2
        columns = np.clip(np.arange(first, last) // 2 - window.left, 0, left.shape[1] - 1)
        covered = np.asarray(gained[:, columns] / 2, np.float32)
        if row not in self._likely:
            chance = np.exp(self.sheet.columns[row][:, first:last].astype(np.float32))
            size = (1, 2 * MASS_HALF_PX + 1)
            mass = cv2.boxFilter(chance, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
            self._likely[row] = UNLIKELY * np.log(mass + np.float32(LEAST_MASS)) / 2
        height = (self.sheet.paths[row] if near is None else near) - window.top
        out = self.sheet.paths[row].copy()
        out[first:last] = window.top + best_way(
            self._likely[row], covered, height[first:last], height[first - 2 : first], height[last : last + 2],
            bend=BENT, pen_px=self.pen.width_px, anywhere=near is None,
        )  # fmt: skip
        return out

    def _window(self, row: int) -> _Window:
        if row not in self._windows:
            self._windows[row] = _Window.of(self.sheet, self.meeting, row)
        return self._windows[row]

    def _explained(self, seen_on: int, *, but: Collection[int]) -> FloatMap:
        """Draw the paths of all rows, but for some, on the strip of one."""
        window = self._window(seen_on)
        explained = np.zeros(window.ink.shape, np.float32)
        for row in _near(self.sheet, seen_on):
            if row not in but:
                np.maximum(explained, self._line(seen_on, row), out=explained)
        return explained

    def _line(self, seen_on: int, row: int) -> FloatMap:
        """Draw a row's path on the strip of one."""
        window = self._window(seen_on)
        if row not in window.lines:
            window.lines[row] = window.drawn(self.pen, self.sheet.paths[row])
        return window.lines[row]

    def gain(self, change: Change) -> float:
        """Return how much less all costs with a change, seen on the strip of its first row."""
        first = min(change)
        window = self._window(first)
        after = self._explained(first, but=tuple(change))
        for path in change.values():
            np.maximum(after, window.drawn(self.pen, path), out=after)
        gain = _unlike(window.ink, self._explained(first, but=())) - _unlike(window.ink, after)
        for row, path in change.items():
            gain += self._cost(row, self.sheet.paths[row]) - self._cost(row, path)
        return gain

    def _cost(self, row: int, path: F64) -> float:
        """Return what a row's path costs by itself."""
        first, last = self.meeting.first, self.meeting.last
        bent = float(np.abs(np.diff(path[first - 3 : last + 3], 2)).sum())
        mass = _mass(self.sheet.columns[row], path[first:last] - self.sheet.tops[row], first)
        return BENT * bent - UNLIKELY * float(np.log(mass + LEAST_MASS).sum()) / 2


def _as_at_other_beats(sheet: _Sheet, readers: Sequence[_Reader], movable: Collection[int]) -> None:
    """Let rows go where they meet as they do at other beats: each as is best, or as is best for all beats together."""
    lags = {
        (i, j): _lag(sheet, here.meeting, there.meeting)
        for i, here in enumerate(readers) for j, there in enumerate(readers) if 0 < abs(i - j) <= FARTHEST
    }  # fmt: skip
    for row in sorted(movable):
        ways = {
            (i, j): (reader.gain({row: path}), path)
            for i, reader in enumerate(readers) if row in reader.movable
            for j, other in enumerate(readers) if row in other.movable
            if (lag := lags.get((i, j))) is not None and (path := reader.as_later(row, lag)) is not None
        }  # fmt: skip
        totals: dict[int, float] = {}
        for (_, j), (gain, _) in ways.items():
            totals[j] = totals.get(j, 0.0) + gain
        usual = max(totals, key=lambda j: totals[j], default=-1)
        for i, reader in enumerate(readers):
            gain, path = max((way for (at, _), way in ways.items() if at == i), key=lambda w: w[0], default=NO_WAY)
            if gain <= LEAST_GAIN and totals.get(usual, 0.0) > LEAST_GAIN:
                gain, path = ways.get((i, usual), NO_WAY)
                gain += 2 * LEAST_GAIN
            if path is not None and gain > LEAST_GAIN:
                reader.take({row: path})


def _beside(meeting: _Meeting) -> slice:
    return slice(meeting.first - MARGIN, meeting.last + MARGIN)


def _later(paths: F64, part: slice, lag: float) -> F64 | None:
    """Return a part of paths [R, n] as many half-columns later; None beyond their ends."""
    at = np.arange(part.start, part.stop) + lag
    if part.start < 0 or part.stop > paths.shape[1] or at[0] < 0 or at[-1] > paths.shape[1] - 1:
        return None
    whole = np.minimum(np.floor(at).astype(int), paths.shape[1] - 2)
    return np.asarray(paths[:, whole] + (at - whole) * (paths[:, whole + 1] - paths[:, whole]))


def _lag(sheet: _Sheet, here: _Meeting, there: _Meeting) -> float | None:
    """Return how many half-columns after one meeting of rows the same part of a beat comes at another."""
    paths, part = sheet.paths[sorted(here.rows & there.rows)], _beside(here)
    middle = (there.first + there.last - here.first - here.last) / 2

    def unlike(lag: float) -> float:
        later = _later(paths, part, lag)
        if later is None or not len(later):
            return np.inf
        away = later - paths[:, part]
        return float(np.minimum(np.abs(away - np.median(away, axis=1, keepdims=True)), MOST_AWAY_PX).sum())

    whole = min((float(round(middle) + step) for step in range(-JOINED, JOINED + 1)), key=unlike)
    best = min((whole + step for step in LAG_STEPS), key=unlike)
    return best if np.isfinite(unlike(best)) else None


def _unlike(ink: FloatMap, explained: FloatMap) -> float:
    """Return what ink costs that is left, and blank paper that is drawn on."""
    left = ink - explained
    return INK_LEFT * float((np.maximum(left, 0) ** 2).sum()) + BLANK_DRAWN * float((np.minimum(left, 0) ** 2).sum())
