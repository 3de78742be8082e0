"""When the heart beats: atrial, ventricular and pacing events for each rhythm; nothing about shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["p", "qrs", "ectopic", "paced", "spike"]

LEAD_IN_S = 2.5  # rhythms start before the record, so that it may open in the middle of a beat
P_TO_R_S = 0.15  # where the P waves' table entries lie before the R peak


@dataclass(frozen=True, slots=True)
class Event:
    """Something the heart or its pacemaker does; `rr_s` is the time since the ventricular beat before."""

    at_s: float
    kind: Kind
    rr_s: float


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The events of one record, in seconds from its start.

    A ventricular event stands at its R peak, a P wave at the R peak it would lead to without block.

    `atrial` names the continuous atrial activity drawn beneath: none, fibrillation or flutter.
    """

    name: str
    rate_per_min: float
    events: tuple[Event, ...]
    atrial: str = "none"
    atrial_hz: float = 0.0


def draw_rhythm(rng: np.random.Generator, duration_s: float) -> Rhythm:
    """Draw one of the rhythms by how often it shall occur."""
    names = list(RHYTHMS)
    odds = np.array([RHYTHMS[name][0] for name in names])
    name = names[int(rng.choice(len(names), p=odds / odds.sum()))]
    return RHYTHMS[name][1](rng, duration_s)


def _sinus(rng: np.random.Generator, duration_s: float) -> Rhythm:
    rate = float(np.clip(rng.lognormal(np.log(75.0), 0.24), 40.0, 150.0))
    times = _sinus_times(rng, duration_s, rate_per_min=rate)
    return Rhythm("sinus", rate, _conducted(times))


def _block_first_degree(rng: np.random.Generator, duration_s: float) -> Rhythm:
    rate = rng.uniform(45.0, 90.0)
    times = _sinus_times(rng, duration_s, rate_per_min=rate)
    return Rhythm("first degree block", rate, _conducted(times, delay_s=rng.uniform(0.06, 0.16)))


def _wenckebach(rng: np.random.Generator, duration_s: float) -> Rhythm:
    rate = rng.uniform(55.0, 95.0)
    cycle, step_s = int(rng.integers(3, 6)), rng.uniform(0.03, 0.07)
    start = int(rng.integers(cycle))
    events: list[Event] = []
    last_s: float | None = None
    for number, sinus_s in enumerate(_sinus_times(rng, duration_s, rate_per_min=rate)):
        position = (number + start) % cycle
        events.append(Event(sinus_s, "p", 60.0 / rate))
        if position < cycle - 1:
            at_s = sinus_s + position * step_s
            events.append(Event(at_s, "qrs", 60.0 / rate if last_s is None else at_s - last_s))
            last_s = at_s
    return Rhythm("second degree block", rate, tuple(events))


def _complete_block(rng: np.random.Generator, duration_s: float) -> Rhythm:
    rate = rng.uniform(30.0, 50.0)
    escape: Kind = "ectopic" if rng.random() < 0.5 else "qrs"
    atrial = _sinus_times(rng, duration_s, rate_per_min=rng.uniform(65.0, 110.0))
    ventricular = _sinus_times(rng, duration_s, rate_per_min=rate)
    events = [Event(at_s, "p", 0.8) for at_s in atrial]
    return Rhythm("complete block", rate, (*events, *_ventricular(ventricular, escape)))


def _fibrillation(rng: np.random.Generator, duration_s: float) -> Rhythm:
    rate = rng.uniform(50.0, 160.0)
    mean_s = 60.0 / rate
    times = _accumulate(rng, duration_s, lambda: max(0.30, rng.gamma(22.0, mean_s / 22.0)))
    return Rhythm(
        "atrial fibrillation", rate, _ventricular(times, "qrs"), "fibrillation", rng.uniform(4.5, 8.5)
    )


def _flutter(rng: np.random.Generator, duration_s: float) -> Rhythm:
    atrial_hz = rng.uniform(4.0, 5.4)
    fixed = int(rng.choice([2, 2, 3, 4]))
    varies = rng.random() < 0.35
    times = _accumulate(
        rng, duration_s, lambda: float(rng.choice([2, 3, 4]) if varies else fixed) / atrial_hz
    )
    rate = 60.0 * len(times) / (duration_s + 2 * LEAD_IN_S)
    return Rhythm("atrial flutter", rate, _ventricular(times, "qrs"), "flutter", atrial_hz)


def _supraventricular(rng: np.random.Generator, duration_s: float) -> Rhythm:
    rate = rng.uniform(140.0, 210.0)
    times = _sinus_times(rng, duration_s, rate_per_min=rate, variability=0.005)
    return Rhythm("supraventricular tachycardia", rate, _ventricular(times, "qrs"))


def _ventricular_tachycardia(rng: np.random.Generator, duration_s: float) -> Rhythm:
    rate = rng.uniform(110.0, 200.0)
    times = _sinus_times(rng, duration_s, rate_per_min=rate, variability=0.008)
    return Rhythm("ventricular tachycardia", rate, _ventricular(times, "ectopic"))


def _extrasystoles(rng: np.random.Generator, duration_s: float) -> Rhythm:
    rate = rng.uniform(50.0, 100.0)
    every = int(rng.choice([0, 0, 2, 3, 4]))  # 0: now and then
    kind: Kind = "ectopic" if rng.random() < 0.75 else "qrs"
    coupling = rng.uniform(0.50, 0.75)
    times = _sinus_times(rng, duration_s, rate_per_min=rate)
    early = [number % every == 0 if every else rng.random() < 0.15 for number in range(len(times))]
    events: list[Event] = []
    previous_s = times[0] - 60.0 / rate
    for sinus_s, is_early in zip(times, early, strict=True):
        rr_s = sinus_s - previous_s
        # the sinus node keeps its time: the next beat comes when it would have come (compensatory pause)
        at_s = previous_s + coupling * rr_s if is_early else sinus_s
        if not is_early:
            events.append(Event(at_s, "p", rr_s))
        events.append(Event(at_s, kind if is_early else "qrs", at_s - previous_s))
        previous_s = at_s
    return Rhythm("extrasystoles", rate, tuple(events))


def _paced(rng: np.random.Generator, duration_s: float) -> Rhythm:
    rate = float(rng.choice([50, 60, 60, 70, 70, 80, 90]))
    atrial_spike, ventricular_spike = rng.random() < 0.4, rng.random() < 0.85
    if not ventricular_spike:
        atrial_spike = True
    times = _sinus_times(rng, duration_s, rate_per_min=rate, variability=0.002)
    rr_s = 60.0 / rate
    underlying_fibrillation = not atrial_spike and rng.random() < 0.4
    events: list[Event] = []
    for at_s in times:
        if atrial_spike:
            events.append(Event(at_s - P_TO_R_S - 0.05, "spike", rr_s))
        if not underlying_fibrillation:
            events.append(Event(at_s, "p", rr_s))
        if ventricular_spike:
            events.append(Event(at_s - 0.07, "spike", rr_s))
        events.append(Event(at_s, "paced" if ventricular_spike else "qrs", rr_s))
    atrial = "fibrillation" if underlying_fibrillation else "none"
    return Rhythm("paced", rate, tuple(events), atrial, rng.uniform(5.0, 8.0))


RHYTHMS: dict[str, tuple[float, Callable[[np.random.Generator, float], Rhythm]]] = {
    "sinus": (0.54, _sinus),
    "extrasystoles": (0.12, _extrasystoles),
    "atrial fibrillation": (0.11, _fibrillation),
    "atrial flutter": (0.04, _flutter),
    "paced": (0.06, _paced),
    "supraventricular tachycardia": (0.03, _supraventricular),
    "ventricular tachycardia": (0.02, _ventricular_tachycardia),
    "first degree block": (0.04, _block_first_degree),
    "second degree block": (0.02, _wenckebach),
    "complete block": (0.02, _complete_block),
}


def _accumulate(rng: np.random.Generator, duration_s: float, interval_s: Callable[[], float]) -> list[float]:
    times = [-LEAD_IN_S - rng.uniform(0.0, 1.0)]
    while times[-1] < duration_s + LEAD_IN_S:
        times.append(times[-1] + interval_s())
    return times


def _sinus_times(
    rng: np.random.Generator, duration_s: float, *, rate_per_min: float, variability: float | None = None
) -> list[float]:
    """Beat times of a regular rhythm whose intervals breathe and drift by the relative `variability`."""
    spread = float(rng.uniform(0.005, 0.05)) if variability is None else variability
    breath_hz, phase = rng.uniform(0.15, 0.35), rng.uniform(0.0, 2 * np.pi)
    times = [-LEAD_IN_S - rng.uniform(0.0, 60.0 / rate_per_min)]
    drift = 0.0
    while times[-1] < duration_s + LEAD_IN_S:
        drift = 0.8 * drift + rng.normal(0.0, 0.4 * spread)
        breath = spread * np.sin(2 * np.pi * breath_hz * times[-1] + phase)
        times.append(times[-1] + 60.0 / rate_per_min * max(0.5, 1.0 + breath + drift))
    return times


def _ventricular(times: list[float], kind: Kind) -> tuple[Event, ...]:
    first_rr_s = times[1] - times[0]
    before = [times[0] - first_rr_s, *times[:-1]]
    return tuple(Event(at_s, kind, at_s - previous_s) for at_s, previous_s in zip(times, before, strict=True))


def _conducted(times: list[float], *, delay_s: float = 0.0) -> tuple[Event, ...]:
    beats = _ventricular(times, "qrs")
    p_waves = tuple(Event(beat.at_s - delay_s, "p", beat.rr_s) for beat in beats)
    return (*p_waves, *beats)
