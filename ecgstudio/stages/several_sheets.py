"""Several ECGs in one picture: an open binder, two sheets on one scan. Lead names that stand there twice tell.

A single ECG prints each of twelve leads once, and at most three of them again as rhythm strips, whatever its layout. So
no line has most of the names on both its sides. Stage 0 guesses the scale of such a picture too large and misses names:
a suspicion is enough to read the names of both sides again, from nearby, and these decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LEADS
from ecgstudio.core.page import Page, box_of
from ecgstudio.stages import stage0_keypoints
from ecgstudio.stages.contract import NULL_STATUS, Failed, PartStatus, Runtime, StageError, Status
from ecgstudio.stages.names import STROKES
from ecgstudio.stages.parting import Gap, contains, cut_out, emptiest, outline_of, parted
from ecgstudio.stages.settings import KeypointSettings

STAGE: Final = "grid"
"""The first stage that has to know which sheet is meant."""
HINT: Final = "make each a page of its own"

MIN_CONFIDENCE: Final = 0.5
WIDE: Final = 3.15  # times as wide as high are the names of two sheets beside each other; of one mostly 2 to 3 times
MIDDLE_SHARE: Final = 0.1
AS_GOOD: Final = 1  # a name less: one that was missed here and is a rhythm strip's there
COLUMN_MM: Final = (4.0, 60.0)  # a stroke is a name if another name stands above or below it: slip, distance
SQUARE_DEG: Final = 2.0  # paper that lies so straight is cut along the pixels
CLEARANCE_MM: Final = 6.0  # from the middle of a name to where it ends
CLEARANCE_SHARE: Final = 0.25  # of a narrow gap
MIN_PITCH_MM: Final = 7.0  # of an ECG's names; those of a table of measurements stand closer
MIN_HEIGHT_MM: Final = 20.0  # nor do an ECG's names stand in a single line


@dataclass(frozen=True, slots=True)
class Bar:
    """What it takes to part a picture: so many different names on both sides, and so many of them on both alike.

    I, II and III are not counted among the latter: they are what else is taken for a name, and rhythm strips.
    """

    names: int
    twice: int


SUSPICION: Final = Bar(5, 3)
PROOF: Final = Bar(8, 5)  # rhythm strips print two of the nine again


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """Lead names that were read for sure: which, where on the page [N, 2], and which of them noise could be."""

    leads: tuple[str, ...]
    xy: F64
    solid: NDArray[np.bool_]


def find_sheets(page: Page, keypoints: Keypoints, *, runtime: Runtime, status: Status = NULL_STATUS) -> tuple[F64, ...]:
    """Return the outline of every ECG in a picture, in reading order; of an ordinary page that of the page.

    An outline [N, 2] is convex, in page pixels. Where nothing is suspicious, no network is asked.
    """
    return _sheets(page, outline_of(page), keypoints, runtime=runtime, status=status)


def only_sheet(page: Page, keypoints: Keypoints, *, runtime: Runtime, status: Status = NULL_STATUS) -> Keypoints:
    """Return the keypoints of a page that shows one ECG.

    Raises:
        StageError: it shows several, and which one is meant nobody knows.
    """
    count = len(find_sheets(page, keypoints, runtime=runtime, status=status))
    if count > 1:
        raise StageError(STAGE, f"{count} ECGs are in this picture", HINT)
    return keypoints


def tells_of_several(failure: Failed | None) -> bool:
    """Tell whether a page could not be read because it shows several ECGs."""
    return failure is not None and failure.hint == HINT


def separate(page: Page, keypoints: Keypoints, *, runtime: Runtime, status: Status = NULL_STATUS) -> tuple[Page, ...]:
    """Return each ECG of a picture as a page of its own, in reading order; the page itself if it shows one."""
    outlines = find_sheets(page, keypoints, runtime=runtime, status=status)
    if len(outlines) < 2:
        return (page,)
    return tuple(
        cut_out(page, outline, source=f"{page.source}, ECG {number} of {len(outlines)}")
        for number, outline in enumerate(outlines, 1)
    )


def _sheets(page: Page, outline: F64, keypoints: Keypoints, *, runtime: Runtime, status: Status) -> tuple[F64, ...]:
    """Return the outlines of the ECGs within an outline, of which the names are known as well as `keypoints` tell."""
    suspicion = find_gap(keypoints, SUSPICION) or _middle(keypoints)
    if suspicion is None:
        return (outline,)
    halves = parted(outline, suspicion.normal, emptiest(page, outline, suspicion, px_per_mm=keypoints.px_per_mm))
    try:
        readings = [
            _read_part(page, half, runtime=runtime, status=PartStatus(status, 0.5 * side, 0.5 * (side + 1)))
            for side, half in enumerate(halves)
        ]
    except StageError:
        return (outline,)  # one of the halves is no ECG at all
    nearer = _together(keypoints, readings)
    gap = find_gap(nearer, PROOF)
    if gap is None:
        return (outline,)
    halves = parted(outline, gap.normal, emptiest(page, outline, gap, px_per_mm=nearer.px_per_mm))
    sides = [_within(half, nearer, pose=reading) for half, reading in zip(halves, readings, strict=True)]
    if not all(_is_ecg(side) for side in sides):
        return (outline,)
    return tuple(
        sheet
        for half, side in zip(halves, sides, strict=True)
        for sheet in _sheets(page, half, side, runtime=runtime, status=status)
    )


# --- names on both sides of a line -----------------------------------------------------------------------------


def find_gap(keypoints: Keypoints, bar: Bar) -> Gap | None:
    """Return the gap between two ECGs, along the paper's axes: enough lead names stand on both its sides.

    It is the widest of those that leave both sides most names. None if there is no such gap.
    """
    names = _names(keypoints)
    found = [gap for normal in _axes(keypoints) for gap in _gaps(names, normal, bar)]
    if not found:
        return None
    most = max(count for count, _, _ in found)
    near = [(ends, normal) for count, ends, normal in found if count >= most - AS_GOOD]
    (low, high), normal = max(near, key=lambda each: each[0][1] - each[0][0])
    at = names.xy @ normal
    doubtful = at[~names.solid & (at > low) & (at < high)]
    clearance = min(CLEARANCE_MM * keypoints.px_per_mm, CLEARANCE_SHARE * (high - low))
    return Gap(normal, low + clearance, high - clearance, doubtful)


def _middle(keypoints: Keypoints) -> Gap | None:
    """Return where two sheets beside each other would meet, if names spread further than a sheet's usually do."""
    names = _names(keypoints)
    xy, (right, down) = names.xy[names.solid], _axes(keypoints)
    if len(xy) < SUSPICION.names or np.ptp(xy @ right) < WIDE * np.ptp(xy @ down):
        return None
    low, high = (float(end(xy @ right)) for end in (np.min, np.max))
    middle, reach = (low + high) / 2, MIDDLE_SHARE * (high - low)
    return Gap(right, middle - reach, middle + reach, xy @ right)


def _gaps(names: Names, normal: F64, bar: Bar) -> list[tuple[int, tuple[float, float], F64]]:
    """Return what parts the names along a normal: how many stand on both sides together, and from where to where."""
    solid = np.flatnonzero(names.solid)
    at = names.xy[solid] @ normal
    order = np.argsort(at, kind="stable")
    leads, at = [names.leads[i] for i in solid[order]], at[order]
    found = []
    for count in range(bar.names, len(leads) - bar.names + 1):
        before, after = frozenset(leads[:count]), frozenset(leads[count:])
        if min(len(before), len(after)) >= bar.names and len((before & after) - STROKES) >= bar.twice:
            found.append((len(before) + len(after), (float(at[count - 1]), float(at[count])), normal))
    return found


def _names(keypoints: Keypoints) -> Names:
    """Return the lead names among keypoints; strokes count where they stand in a column of names."""
    kept = [
        i
        for i, (name, sure) in enumerate(zip(keypoints.names, keypoints.confidence, strict=True))
        if name in LEADS and sure >= MIN_CONFIDENCE
    ]
    leads, xy = tuple(keypoints.names[i] for i in kept), keypoints.xy[kept]
    slip, reach = np.array(COLUMN_MM) * keypoints.px_per_mm
    across, down = (np.abs(xy @ axis - (xy @ axis)[:, None]) for axis in _axes(keypoints))
    other = np.array(leads)[:, None] != np.array(leads)[None]
    in_column = ((across <= slip) & (down <= reach) & other).any(axis=1)
    return Names(leads, xy, np.array([lead not in STROKES for lead in leads], bool) | in_column)


def _axes(keypoints: Keypoints) -> tuple[F64, F64]:
    """Return the directions right and down on the upright paper, unit vectors in page pixels."""
    square = np.pi / 2 * round(keypoints.angle_rad / (np.pi / 2))
    angle = square if abs(keypoints.angle_rad - square) <= np.radians(SQUARE_DEG) else keypoints.angle_rad
    right = np.array([np.cos(angle), np.sin(angle)])
    down = np.array([-right[1], right[0]]) * (-1 if keypoints.mirrored else 1)
    if angle == square:
        right, down = np.round(right), np.round(down)
    return right, down


# --- a second look ---------------------------------------------------------------------------------------------


def _read_part(page: Page, outline: F64, *, runtime: Runtime, status: Status) -> Keypoints:
    """Read the names within an outline from nearby; the answer is in the pixels of the page."""
    part = cut_out(page, outline)
    found = stage0_keypoints.detect_keypoints(part, runtime=runtime, settings=KeypointSettings(), status=status)
    return replace(found, xy=found.xy + box_of(outline)[:2])


def _together(before: Keypoints, readings: Sequence[Keypoints]) -> Keypoints:
    """Join what was read from nearby; how the paper lies stays as the whole picture told."""
    return replace(
        before,
        names=tuple(name for reading in readings for name in reading.names),
        xy=np.concatenate([reading.xy for reading in readings]),
        confidence=np.concatenate([reading.confidence for reading in readings]),
        px_per_mm=float(np.mean([reading.px_per_mm for reading in readings])),
    )


def _within(outline: F64, keypoints: Keypoints, *, pose: Keypoints) -> Keypoints:
    """Return the keypoints in an outline, on paper that lies as `pose` says."""
    inside = np.flatnonzero(contains(outline, keypoints.xy))
    names = tuple(keypoints.names[i] for i in inside)
    return replace(pose, names=names, xy=keypoints.xy[inside], confidence=keypoints.confidence[inside])


def _is_ecg(keypoints: Keypoints) -> bool:
    """Tell an ECG from a table that lists the leads: its names stand further apart, and not in one line."""
    names = _names(keypoints)
    xy = names.xy[names.solid]
    if len(xy) < PROOF.names:
        return False
    apart = np.hypot(*np.moveaxis(xy[:, None] - xy[None], -1, 0)) + np.diag(np.full(len(xy), np.inf))
    pitch_mm = float(np.median(apart.min(axis=1))) / keypoints.px_per_mm
    _, down = _axes(keypoints)
    return pitch_mm >= MIN_PITCH_MM and float(np.ptp(xy @ down)) >= MIN_HEIGHT_MM * keypoints.px_per_mm
