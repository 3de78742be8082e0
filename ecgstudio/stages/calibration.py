"""What a millimetre means: paper speed and gain from the calibration pulse, the printed texts, or the user."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page
from ecgstudio.stages.contract import FloatMap, Runtime
from ecgstudio.stages.decode import pair_average, trace_path
from ecgstudio.stages.paper_map import rescaled
from ecgstudio.stages.parallel import in_parallel
from ecgstudio.stages.settings import GridSettings
from ecgstudio.stages.strips import STRIP_PX_PER_MM, cut_strip, normalised

SPEEDS = {"speed25": 25.0, "speed50": 50.0}
GAINS = {"gain5": 5.0, "gain10": 10.0, "gain20": 20.0}
STANDARD_MM_PER_S, STANDARD_MM_PER_MV = 25.0, 10.0
PULSE_MV, PULSE_S = 1.0, 0.2
PULSE_WINDOW_MM = 32.0
STRIPS_AT_ONCE = 3  # so many of them stay in the cache of a CPU
PULSE_STRIP_HALF_MM = 30.0
MAX_PULSES = 6
MIN_MARKER_CONFIDENCE, SURE_MARKER_CONFIDENCE = 0.5, 0.8
FOOT_MM = 0.3
SAME_FOOT_MM = 1.0
SNAP = 0.085  # a measured pulse stands for a standard gain within this share
NEARLY = 0.2  # and so far at most where it is told only which of the heights it is
MIDDLE_SNAP = 0.3  # the same where its height follows from how far its top is from its marked middle
PLATEAU_MM, LEVEL_MM = 0.3, 0.1  # what belongs to a plateau, and how level that of a machine is
CLEAN_WIDTH, CLEAN_MASS = 0.1, 0.8
LONG_MM = 7.5  # a pulse of 25 mm/s is 5 mm wide, of 50 mm/s 10 mm
GUESSED_ZOOMS = (1.0, 1.45, 0.7)  # small sheets are taken for larger ones
GUESSED_MM = (5.0, 9.0, 13.0, 18.0)  # heights to look for a foot at, where the scale is only guessed
SIDES_AGREE, ZOOMS_AGREE = 0.2, 0.06
LEAST_ALIKE = 2  # pulses of one size that no standard has
STRANGE_ZOOM, STRANGE_SCALE = 0.3, 2.0  # log zoom that is rather unlikely; what an unusual speed or gain costs


@dataclass(frozen=True, slots=True)
class Pulse:
    """A calibration pulse as measured on the rectified paper."""

    height_mm: float
    width_mm: float
    middle_mm: float = 0.0  # right of the place that was looked at
    stands_on_both: bool = True  # its feet on either side lie at one height
    clean: bool = False  # level, with sudden ends, as long as a pulse is: no lead looks like that
    top_mm: float = 0.0  # above the strip's centre
    witnesses: int = 1  # places that say so
    places_mm: tuple[tuple[float, float, float], ...] = ()  # x, foot's y and standard height of all that are clean


def decide_scale(
    page: Page, keypoints: Keypoints, grid: GridFit, *, runtime: Runtime, settings: GridSettings
) -> PaperScale:
    """Weigh all evidence of speed and gain; the user's word comes first, then the pulse, the texts, the standard."""
    printed_speed, printed_gain = _surest(_printed(keypoints, SPEEDS)), _surest(_printed(keypoints, GAINS))
    if STANDARD_MM_PER_MV in printed_gains(keypoints):
        printed_gain = STANDARD_MM_PER_MV  # of several; carts print chest leads at another where they are tall
    pulse = measure_pulse(page, keypoints, grid, runtime=runtime)
    by_pulse = _snapped(pulse.height_mm / PULSE_MV, tuple(GAINS.values())) if pulse is not None else None
    width_speed = _snapped(pulse.width_mm / PULSE_S, tuple(SPEEDS.values())) if pulse is not None else None
    if printed_gain not in (None, by_pulse) and not _outweighs_print(pulse):
        by_pulse = None  # print is hardly ever misread, and what looks like a pulse may be a lead
    # pulses twice as long as usual are those of fast paper; short ones there are on paper of any speed
    long_speed = width_speed if width_speed != STANDARD_MM_PER_S and _outweighs_print(pulse) else None
    speed, speed_from = _first(
        (settings.mm_per_s, "set"), (long_speed, "pulse"), (printed_speed, "printed"), (width_speed, "pulse"),
        (STANDARD_MM_PER_S, "assumed"),
    )  # fmt: skip
    gain, gain_from = _first(
        (settings.mm_per_mV, "set"), (by_pulse, "pulse"), (printed_gain, "printed"), (STANDARD_MM_PER_MV, "assumed")
    )
    return PaperScale(
        mm_per_s=speed, mm_per_mV=gain, source=f"speed {speed_from}, gain {gain_from}",
        pulse_height_mm=None if pulse is None else round(pulse.height_mm, 3),
        pulse_width_mm=None if pulse is None else round(pulse.width_mm, 3),
        printed_mm_per_s=printed_speed, printed_mm_per_mV=printed_gain,
        pulses_mm=() if pulse is None or settings.mm_per_mV is not None else pulse.places_mm,
    )  # fmt: skip


def _outweighs_print(pulse: Pulse | None) -> bool:
    """Tell whether a pulse is seen so well that a text which says otherwise was rather misread."""
    return pulse is not None and pulse.clean and (pulse.witnesses > 1 or pulse.stands_on_both)


def _first(*options: tuple[float | None, str]) -> tuple[float, str]:
    return next((value, source) for value, source in options if value is not None)


def printed_gains(keypoints: Keypoints) -> tuple[float, ...]:
    """Return the different gains that the page prints in mm/mV, the least first: limb and chest leads may have two."""
    return tuple(sorted({gain for _, gain in _printed(keypoints, GAINS)}))


def _surest(printed: list[tuple[float, float]]) -> float | None:
    return max(printed)[1] if printed else None


def _printed(keypoints: Keypoints, table: dict[str, float]) -> list[tuple[float, float]]:
    """Return how sure each printed value is, and the value."""
    return [
        (float(confidence), table[name])
        for name, confidence in zip(keypoints.names, keypoints.confidence, strict=True)
        if name in table and confidence >= MIN_MARKER_CONFIDENCE
    ]


def _snapped(value: float, standards: tuple[float, ...]) -> float | None:
    best = min(standards, key=lambda s: abs(np.log(max(value, 1e-6) / s)))
    return best if abs(value / best - 1) <= SNAP else None


def measure_pulse(page: Page, keypoints: Keypoints, grid: GridFit, *, runtime: Runtime) -> Pulse | None:
    """Measure the calibration pulse with the trace network: plateau against foot; None where there is none.

    Where the foot lies depends on the height that is asked for, so each standard height is tried as a hypothesis
    and the one that confirms itself is kept.
    """
    centres = _places(keypoints, grid)
    hypotheses = [(centre, height) for centre in centres for height in GAINS.values()]
    if not hypotheses:
        return None
    found: dict[float, list[Pulse]] = {}
    standing: dict[float, tuple[float, float, float]] = {}
    for (centre, wanted), pulse in zip(hypotheses, _pulses_at(page, grid, hypotheses, runtime=runtime), strict=True):
        if pulse is None or not _is_on_page(page, grid, centre, pulse):
            continue
        off = abs(pulse.height_mm / wanted - 1)
        if off <= NEARLY and _is_as_tall(pulse, wanted_mm=wanted):
            standing[centre[1]] = float(centre[0]), float(centre[1] + wanted / 2), wanted
        if off <= SNAP and _is_plain(pulse, wanted_mm=wanted):
            found.setdefault(wanted, []).append(pulse)
    agreed = _agreed(found, places=len(centres))
    return None if agreed is None else replace(agreed, places_mm=tuple(standing.values()))


def _places(keypoints: Keypoints, grid: GridFit) -> F64:
    """Return where pulses may stand, in mm [N, 2]."""
    chosen = [
        i
        for i, (name, confidence) in enumerate(zip(keypoints.names, keypoints.confidence, strict=True))
        if name == "pulse" and confidence >= MIN_MARKER_CONFIDENCE
    ]
    if not chosen:
        return np.zeros((0, 2))
    centres = grid.to_mm(keypoints.xy[chosen])
    known = np.isfinite(centres).all(axis=1)
    return _chosen(centres[known], np.asarray(keypoints.confidence[chosen], np.float64)[known])


def _pulses_at(
    page: Page, grid: GridFit, hypotheses: list[tuple[F64, float]], *, runtime: Runtime
) -> list[Pulse | None]:
    """Measure the pulse at each place, if it were as high as supposed: that tells where its foot lies."""
    half_px = round(PULSE_STRIP_HALF_MM * STRIP_PX_PER_MM / 16) * 16
    width = int(PULSE_WINDOW_MM * STRIP_PX_PER_MM)
    strips = np.stack([
        cut_strip(page, grid, x0_mm=c[0] - PULSE_WINDOW_MM / 2, centre_mm=c[1] + h / 2, half_px=half_px, width_px=width)
        for c, h in hypotheses
    ])  # fmt: skip

    def paths(some: FloatMap) -> list[tuple[F64, F64]]:
        height, mass = trace_path(runtime.trace(normalised(some)).columns)
        return list(zip(pair_average(height), pair_average(mass), strict=True))

    at_once = STRIPS_AT_ONCE if runtime.device == "cpu" else len(strips)
    parts = [strips[first : first + at_once] for first in range(0, len(strips), at_once)]
    found = [path for of_part in in_parallel(paths, parts, at_most=2) for path in of_part]
    return [
        _pulse_of(-(row - half_px + 0.5) / STRIP_PX_PER_MM, sure, wanted_mm=wanted)
        for (_, wanted), (row, sure) in zip(hypotheses, found, strict=True)
    ]


def pulse_zoom(page: Page, keypoints: Keypoints, grid: GridFit, *, runtime: Runtime) -> float | None:
    """Say by how much a map's millimetres are too small, by pulses alone; None where no clean pulse tells.

    A pulse has two sides, so that it tells the scale and which pulse it is at once. Right to some percent only.
    """
    printed = _surest(_printed(keypoints, SPEEDS)), _surest(_printed(keypoints, GAINS))
    at = functools.partial(_zoom_at, page, keypoints, grid, printed=printed, runtime=runtime)
    for guess in GUESSED_ZOOMS:
        zoom, witnesses = at(guess)
        if zoom is None:
            continue
        again, more = at(zoom)  # what is far from its usual size is measured again at the better one
        if again is not None and (abs(again / zoom - 1) <= ZOOMS_AGREE or more > 1):
            return again
        if witnesses > 1:
            return zoom
    return None


def other_zooms(page: Page, keypoints: Keypoints, grid: GridFit, *, runtime: Runtime) -> list[float]:
    """Return by how much a map's millimetres may be too small if pulses on it are of no standard size.

    Two sides do not tell a pulse of fast paper from one of low gain: there may be several answers, for the grid to
    decide. Empty where pulses are as they should be, or too few are seen to say.
    """
    hypotheses = [(centre, height) for centre in _places(keypoints, grid) for height in GUESSED_MM]
    sizes: list[tuple[float, float]] = []
    pulses = _pulses_at(page, grid, hypotheses, runtime=runtime) if hypotheses else []
    for k in range(0, len(pulses), len(GUESSED_MM)):
        standing = [p for p in pulses[k : k + len(GUESSED_MM)] if p is not None and p.stands_on_both]
        if standing:
            sizes.append((
                float(np.median([p.height_mm for p in standing])), float(np.median([p.width_mm for p in standing]))
            ))  # fmt: skip
    if len(sizes) < LEAST_ALIKE:
        return []
    height_mm, width_mm = (float(value) for value in np.median(sizes, axis=0))
    alike = [max(abs(h / height_mm - 1), abs(w / width_mm - 1)) <= SNAP for h, w in sizes]
    found = [
        float(by_height ** (2 / 3) * by_width ** (1 / 3))
        for speed in SPEEDS.values() for gain in GAINS.values()
        for by_height, by_width in [(height_mm / (gain * PULSE_MV), width_mm / (speed * PULSE_S))]
        if abs(np.log(by_height / by_width)) <= SIDES_AGREE
    ]  # fmt: skip
    usual = any(abs(zoom - 1) <= SNAP for zoom in found)
    return [] if usual or sum(alike) < max(LEAST_ALIKE, len(sizes) / 2) else found


def _zoom_at(
    page: Page,
    keypoints: Keypoints,
    grid: GridFit,
    guess: float,
    *,
    printed: tuple[float | None, float | None],
    runtime: Runtime,
) -> tuple[float | None, int]:
    """Measure pulses on a map rescaled by a guess; returns the zoom that most of them agree on, and how many do."""
    rough = rescaled(grid, guess)
    hypotheses = [(centre, height) for centre in _places(keypoints, rough) for height in GUESSED_MM]
    if not hypotheses:
        return None, 0
    zooms: list[float] = []
    pulses = _pulses_at(page, rough, hypotheses, runtime=runtime)
    for k in range(0, len(pulses), len(GUESSED_MM)):
        standing = [p for p in pulses[k : k + len(GUESSED_MM)] if p is not None and p.stands_on_both]
        if standing:
            height_mm, width_mm = (
                guess * float(np.median([getattr(p, side) for p in standing])) for side in ("height_mm", "width_mm")
            )
            zoom = _standard_zoom(height_mm, width_mm, printed=printed)
            if zoom is not None:
                zooms.append(zoom)
    if not zooms:
        return None, 0
    usual = float(np.median(zooms))
    agree = [zoom for zoom in zooms if abs(zoom / usual - 1) <= ZOOMS_AGREE]
    return (float(np.mean(agree)), len(agree)) if len(agree) > len(zooms) / 2 else (None, 0)


def _standard_zoom(height_mm: float, width_mm: float, *, printed: tuple[float | None, float | None]) -> float | None:
    """Return by how much a pulse is larger than the standard one that it is likeliest to be."""
    best: tuple[float, float] | None = None
    for speed in SPEEDS.values():
        for gain in GAINS.values():
            by_height, by_width = height_mm / (gain * PULSE_MV), width_mm / (speed * PULSE_S)
            if abs(np.log(by_height / by_width)) > SIDES_AGREE:
                continue
            zoom = float(by_height ** (2 / 3) * by_width ** (1 / 3))
            cost = (np.log(zoom) / STRANGE_ZOOM) ** 2 / 2
            cost += STRANGE_SCALE * (
                (speed != (printed[0] or STANDARD_MM_PER_S)) + (gain != (printed[1] or STANDARD_MM_PER_MV))
            )
            if best is None or cost < best[0]:
                best = float(cost), zoom
    return None if best is None else best[1]


def _is_plain(pulse: Pulse, *, wanted_mm: float) -> bool:
    """Tell whether a pulse may stand for a gain: a lead may begin or end at the edge of one, at any height.

    Of a standard pulse one foot suffices; an unusual one shows both, or is as tall as its marked middle says.
    """
    return wanted_mm == STANDARD_MM_PER_MV or pulse.stands_on_both or _is_as_tall(pulse, wanted_mm=wanted_mm)


def _is_as_tall(pulse: Pulse, *, wanted_mm: float) -> bool:
    """Tell whether a clean pulse's top is as far above its marked middle as that height asks for."""
    return pulse.clean and abs(2 * (pulse.top_mm - wanted_mm / 2) / wanted_mm - 1) <= MIDDLE_SNAP


def _chosen(centres: F64, confidence: F64) -> F64:
    """Choose among the places [N, 2] that look like pulses: the surest, spread over the page if there are many."""
    sure = centres[confidence >= SURE_MARKER_CONFIDENCE]
    if len(sure) > MAX_PULSES:
        by_height = sure[np.argsort(sure[:, 1])]
        return np.asarray(by_height[np.linspace(0, len(sure) - 1, MAX_PULSES).round().astype(int)])
    return np.asarray(centres[np.argsort(-confidence, kind="stable")[:MAX_PULSES]])


def _is_on_page(page: Page, grid: GridFit, centre_mm: F64, pulse: Pulse) -> bool:
    """Tell whether a pulse stands on the picture with both its feet; one that is cut off measures nothing."""
    reach = pulse.width_mm / 2 + FOOT_MM
    ends = centre_mm + np.array([[pulse.middle_mm - reach, 0.0], [pulse.middle_mm + reach, 0.0]])
    xy = grid.to_page(ends)
    return bool((xy > -0.5).all() and (xy < np.array([page.width, page.height]) - 0.5).all())


def _agreed(found: dict[float, list[Pulse]], *, places: int) -> Pulse | None:
    """Return the pulse that most places confirm.

    An unusual height needs two witnesses (where there are two) or a clean one, more than the standard one has, and no
    other unusual one beside it: misread pulses are far more common than unusual gains. As many are enough if one of
    them is clean and stands on both feet, and those of standard height on one each: beside the other a lead may begin.
    Of whatever height, a lone one must be clean or stand on both its feet; one that tells of fast paper stands on both.
    """
    standard = STANDARD_MM_PER_MV * PULSE_MV
    witnesses = {wanted: len(pulses) for wanted, pulses in found.items()}
    usual = witnesses.pop(standard, 0)
    chosen = max(witnesses, key=lambda wanted: witnesses[wanted], default=standard)
    clean = any(pulse.clean for pulse in found.get(chosen, []))
    few = witnesses.get(chosen, 0) < min(1 if clean else 2, places)
    firm = any(pulse.clean and pulse.stands_on_both for pulse in found.get(chosen, []))
    shaky = not any(pulse.stands_on_both for pulse in found.get(standard, []))
    if usual + (0 if firm and shaky else 1) > witnesses.get(chosen, 0) or few or len(witnesses) > 1:
        chosen = standard
    if chosen not in found:
        return None
    pulses = found[chosen]
    lone = pulses[0] if len(pulses) == 1 else None
    if lone is not None and not lone.stands_on_both and (not lone.clean or lone.width_mm > LONG_MM):
        return None  # a beat with a broad top looks like that too, and a frame's corner as wide as on fast paper
    both = [p for p in pulses if p.stands_on_both] or pulses
    return Pulse(
        float(np.median([p.height_mm for p in both])),
        float(np.median([p.width_mm for p in both])),
        stands_on_both=any(p.stands_on_both for p in pulses),
        clean=any(p.clean for p in pulses),
        witnesses=len(pulses),
    )


def _pulse_of(level_mm: F64, mass: F64, *, wanted_mm: float) -> Pulse | None:
    """Find a rectangular step around the middle of a trace (mm above the strip's centre).

    Of its two feet the one counts that is nearer to the height that is looked for: beside the other a lead may begin.
    """
    n = len(level_mm)
    near = slice(n // 2 - int(STRIP_PX_PER_MM), n // 2 + int(STRIP_PX_PER_MM))
    if mass[near].mean() < 0.3:
        return None
    top = float(np.median(level_mm[near]))
    if abs(level_mm[near] - top).mean() > 0.5:
        return None
    # walk outwards to half height on both sides
    outside = np.concatenate([level_mm[: n // 4], level_mm[-n // 4 :]])
    sides = level_mm[n // 2 - 72 : n // 2 - 44], level_mm[n // 2 + 44 : n // 2 + 72]
    feet = [float(np.median(part)) for part in sides]
    foot = min(feet, key=abs) if np.isfinite(feet).all() else float(np.median(outside))
    middle = (top + foot) / 2
    high = level_mm > middle
    left, right = n // 2, n // 2
    while left > 0 and high[left - 1]:
        left -= 1
    while right < n - 1 and high[right + 1]:
        right += 1
    width_mm = (right - left + 1) / STRIP_PX_PER_MM
    plateau = _plateau(level_mm, mass, top)
    if plateau is not None:
        left, right = plateau
        width_mm = (right - left + 1) / STRIP_PX_PER_MM
    # the feet: the pulse's own short flats just outside its edges
    sides_mm = [
        top - float(np.median(flat))
        for flat in (level_mm[max(0, left - 7) : max(0, left - 2)], level_mm[right + 3 : right + 8])
        if len(flat) >= 4
    ]
    if not sides_mm:
        return None
    height_mm = min(sides_mm, key=lambda side_mm: abs(side_mm - wanted_mm))
    agree = len(sides_mm) == 2 and abs(sides_mm[1] - sides_mm[0]) < SAME_FOOT_MM
    middle_mm = ((left + right) / 2 - (n - 1) / 2) / STRIP_PX_PER_MM
    if not (3.0 < height_mm < 25.0 and 2.5 < width_mm < 13.0):
        return None
    return Pulse(height_mm, width_mm, middle_mm, agree, clean=plateau is not None, top_mm=top)


def _plateau(level_mm: F64, mass: F64, top_mm: float) -> tuple[int, int] | None:
    """Return the first and last column of the level top of a pulse; None if what lies there is no machine's."""
    middle = len(level_mm) // 2
    near = np.abs(level_mm - top_mm) < PLATEAU_MM
    if not near[middle]:
        return None
    left = middle - int(np.argmin(near[middle::-1])) + 1
    right = middle + int(np.argmin(near[middle:])) - 1
    if near[: middle + 1].all() or near[middle:].all():
        return None
    width_mm = (right - left + 1) / STRIP_PX_PER_MM
    usual = any(abs(width_mm / (PULSE_S * speed) - 1) <= CLEAN_WIDTH for speed in SPEEDS.values())
    if not usual:
        return None
    inner = slice(left + 1, right)
    level = float(np.std(level_mm[inner])) <= LEVEL_MM and float(mass[inner].mean()) >= CLEAN_MASS
    return (left, right) if level else None
