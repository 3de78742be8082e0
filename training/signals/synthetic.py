"""Our own 12-lead ECG: Gaussian waves on a heart vector, seen by electrodes that add their own noise.

Only the nine electrodes carry noise, and III, aVR, aVL and aVF are computed from I and II, so the limb leads
obey Einthoven and Goldberger however noisy the record is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from training.signals.record import TARGET_FS, Record
from training.signals.rhythms import Rhythm, draw_rhythm
from training.signals.waves import (
    GAIN_RANGES,
    LEAD_VECTORS,
    MORPHOLOGIES,
    P_WAVES,
    PACED_BEAT,
    U_WAVE,
    Beat,
    ectopic_beat,
    random_turn,
    vary_beat,
)

SOURCE_LENGTH = 1_000_000
SPLIT_SEEDS = {"train": 11, "val": 12, "test": 13}
REFERENCE_RR_S = 0.8  # the waves' table is written for 75 beats per minute
LARGEST_MV = 6.0  # real leads rarely pass 5 mV; a chance product of large factors is scaled back to this
REACH_SIGMAS = 4.5

Leads8 = NDArray[np.float64]  # I, II, V1..V6


class SyntheticSource:
    """Give a million different synthetic records, each made when asked for."""

    def __init__(self, split: str) -> None:
        self._split = split

    def __len__(self) -> int:
        return SOURCE_LENGTH

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < SOURCE_LENGTH:
            raise IndexError(f"record {index} of {SOURCE_LENGTH}")
        record = synthesize_record(np.random.default_rng([SPLIT_SEEDS[self._split], index]))
        return Record(
            f"synthetic-{self._split}-{index}",
            record.mv,
            record.fs,
            record.source,
            self._split,
            record.labels,
        )


def synthesize_record(rng: np.random.Generator, *, duration_s: float = 10.0, fs: float = TARGET_FS) -> Record:
    """Draw a person, a rhythm and a recording; the same generator state gives the same record.

    Labels: rhythm, morphology, rate_per_min. All samples are finite and below 10 mV.
    """
    seed_text = f"{int(rng.integers(2**32)):08x}"
    count = round(duration_s * fs)
    rhythm = draw_rhythm(rng, duration_s)
    names = list(MORPHOLOGIES)
    odds = np.array([MORPHOLOGIES[name][0] for name in names])
    morphology = names[int(rng.choice(len(names), p=odds / odds.sum()))]

    heart = _draw_heart(rng, rhythm, morphology, count=count, fs=fs)
    heart = _machine_filter(rng, heart, fs=fs)
    heart *= min(1.0, LARGEST_MV / float(np.abs(_twelve_leads(heart)).max()))
    leads8 = heart + _electrode_noise(rng, count=count, fs=fs)
    mv = _twelve_leads(leads8)
    if rng.random() < 0.02:  # the arm electrodes exchanged: a classic mistake; I turns over, II and III swap
        mv = _twelve_leads(np.concatenate([-leads8[:1], leads8[1:2] - leads8[:1], leads8[2:]]))
    if not any(event.kind == "qrs" for event in rhythm.events):
        morphology = "ventricular"  # every beat is paced or ectopic, so the person's own QRS is never seen
    labels = {"rhythm": rhythm.name, "morphology": morphology, "rate_per_min": rhythm.rate_per_min}
    return Record(f"synthetic-{seed_text}", mv, fs, "synthetic", None, labels)


def _twelve_leads(leads8: Leads8) -> NDArray[np.float32]:
    lead_i, lead_ii = leads8[0], leads8[1]
    lead_iii = lead_ii - lead_i
    limb = np.stack(
        [
            lead_i,
            lead_ii,
            lead_iii,
            -(lead_i + lead_ii) / 2,
            (lead_i - lead_iii) / 2,
            (lead_ii + lead_iii) / 2,
        ]
    )
    return np.concatenate([limb, leads8[2:]]).astype(np.float32)


def _draw_heart(
    rng: np.random.Generator, rhythm: Rhythm, morphology: str, *, count: int, fs: float
) -> Leads8:
    """Sum all waves of all events, as seen by the eight independent leads."""
    turn = random_turn(rng)
    low, high = GAIN_RANGES.get(morphology, (0.65, 1.45))
    gain = rng.uniform(low, high)
    main = MORPHOLOGIES[morphology][1]
    if rng.random() < 0.2:
        main = Beat((*main.waves, U_WAVE), main.st_mv, main.j_point_s)
    p_gain = rng.uniform(0.5, 1.6)
    beats = {
        "qrs": _Projected(rng, vary_beat(main, rng, gain=gain, turn=turn)),
        "paced": _Projected(rng, vary_beat(PACED_BEAT, rng, gain=rng.uniform(0.7, 1.5), turn=turn)),
        "ectopic": _Projected(rng, ectopic_beat(rng)),
        "p": _Projected(rng, vary_beat(Beat(P_WAVES), rng, gain=p_gain, turn=turn)),
    }
    if morphology == "preexcitation":
        beats["p"].delay_s = 0.05  # the accessory pathway shortens PR
    spike_mv = LEAD_VECTORS @ (rng.normal(size=3) * rng.uniform(0.2, 1.6))
    breath_hz, phase, depth = rng.uniform(0.15, 0.35), rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.10)
    leads8 = np.zeros((8, count))
    for event in rhythm.events:
        breath = 1.0 + depth * np.sin(2 * np.pi * breath_hz * event.at_s + phase) + rng.normal(0.0, 0.015)
        if event.kind == "spike":
            _add_spike(leads8, event.at_s, spike_mv, fs=fs)
        else:
            beats[event.kind].add_to(leads8, event.at_s, rr_s=event.rr_s, gain=breath, fs=fs)
    if rhythm.atrial != "none":
        leads8 += _atrial_activity(rng, rhythm, turn, count=count, fs=fs)
    return leads8


class _Projected:
    """A beat as one person's chest shows it: each wave's height and moment in each of the eight leads.

    Real chest leads lie close to the heart and see more than a dipole; every wave therefore reaches each lead
    with its own gain and a few milliseconds of its own, and some leads show a notch.
    """

    def __init__(self, rng: np.random.Generator, beat: Beat) -> None:
        self.delay_s = 0.0
        self._waves = beat.waves
        chest = np.array([0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
        self._heights = []
        self._shifts = []
        for wave in beat.waves:
            height = LEAD_VECTORS @ np.array(wave.vector_mv)
            height = height * np.exp(chest * rng.normal(0.0, 0.15, 8))
            height += chest * rng.normal(0.0, 0.06, 8) * np.linalg.norm(wave.vector_mv)
            self._heights.append(height)
            self._shifts.append(rng.normal(0.0, 0.25, 8) * min(wave.rise_s, 0.012))
        self._st = LEAD_VECTORS @ np.array(beat.st_mv)
        self._j_point_s = beat.j_point_s
        t_waves = [wave.at_s for wave in beat.waves if wave.part == "t"]
        self._t_peak_s = t_waves[0] if t_waves else None
        self._notch_mv = (
            rng.normal(0.0, 0.12, 8) * (rng.random(8) < 0.5) if t_waves and rng.random() < 0.3 else None
        )
        self._notch_s = rng.uniform(-0.03, 0.05)

    def add_to(self, leads8: Leads8, at_s: float, *, rr_s: float, gain: float, fs: float) -> None:
        """Add the beat whose R peak is at `at_s`; T and U come early and narrow after a short interval."""
        pace = float(np.clip(rr_s / REFERENCE_RR_S, 0.35, 2.0)) ** 0.5
        at_s += self.delay_s
        for wave, height, shift in zip(self._waves, self._heights, self._shifts, strict=True):
            late = wave.part in ("t", "u")
            centre_s = at_s + wave.at_s * (pace if late else 1.0)
            width = pace if late else 1.0
            window, time_s = _window(leads8, centre_s, wave.rise_s * width, wave.fall_s * width, fs=fs)
            if window is None:
                continue
            offset_s = time_s - centre_s - shift[:, None]
            sigma_s = np.where(offset_s < 0, wave.rise_s, wave.fall_s) * width
            window += gain * height[:, None] * np.exp(-0.5 * (offset_s / sigma_s) ** 2)
        if self._t_peak_s is not None:
            self._add_segment(leads8, at_s, self._t_peak_s * pace, gain=gain, fs=fs)

    def _add_segment(self, leads8: Leads8, at_s: float, t_peak_s: float, *, gain: float, fs: float) -> None:
        """Add the ST segment's level, which begins at the J point and dissolves into T, and the QRS notch."""
        window, time_s = _window(leads8, at_s + t_peak_s / 2, t_peak_s / 3, t_peak_s / 3, fs=fs)
        if window is None:
            return
        offset_s = time_s - at_s
        begins = 1 / (1 + np.exp(-(offset_s - self._j_point_s) / 0.007))
        ends = 1 / (1 + np.exp((offset_s - t_peak_s) / 0.022))
        window += gain * self._st[:, None] * (begins * ends)
        if self._notch_mv is not None:
            window += (
                gain * self._notch_mv[:, None] * np.exp(-0.5 * ((offset_s - self._notch_s) / 0.006) ** 2)
            )


def _window(
    leads8: Leads8, centre_s: float, rise_s: float, fall_s: float, *, fs: float
) -> tuple[Leads8 | None, NDArray[np.float64]]:
    """Return the part of the record that a wave reaches, as a view, and its sample times; None if empty."""
    start = max(0, int((centre_s - REACH_SIGMAS * rise_s - 0.02) * fs))
    stop = min(leads8.shape[1], int((centre_s + REACH_SIGMAS * fall_s + 0.02) * fs))
    if stop <= start:
        return None, np.empty(0)
    return leads8[:, start:stop], np.arange(start, stop) / fs


def _add_spike(leads8: Leads8, at_s: float, spike_mv: NDArray[np.float64], *, fs: float) -> None:
    """Add a pacing spike: about 2 ms high, then a slow recharge of the other sign."""
    start = round(at_s * fs)
    width = max(1, round(0.002 * fs))
    recharge = -0.06 * np.exp(-np.arange(round(0.06 * fs)) / (0.015 * fs))
    shape = np.concatenate([np.ones(width), recharge])
    first, last = max(0, start), min(leads8.shape[1], start + len(shape))
    if first < last:
        leads8[:, first:last] += spike_mv[:, None] * shape[first - start : last - start]


def _atrial_activity(
    rng: np.random.Generator, rhythm: Rhythm, turn: NDArray[np.float64], *, count: int, fs: float
) -> Leads8:
    """Draw f waves (drifting in rate and size) or flutter's saw teeth along their own directions."""
    time_s = np.arange(count) / fs
    if rhythm.atrial == "flutter":
        cycle = 2 * np.pi * rhythm.atrial_hz * time_s + rng.uniform(0, 2 * np.pi)
        saw = sum(np.sin(k * cycle) / k**1.2 for k in range(1, 5))
        vector = turn @ np.array([-0.01, -0.11, -0.06]) * rng.uniform(0.6, 1.8)
        return np.asarray((LEAD_VECTORS @ vector)[:, None] * saw)
    leads8 = np.zeros((8, count))
    scale_mv = rng.uniform(0.01, 0.09)
    for _ in range(3):
        drift = np.cumsum(_smooth_noise(rng, count, fs=fs, cutoff_hz=1.5)) / fs
        cycle = 2 * np.pi * (rhythm.atrial_hz * rng.uniform(0.85, 1.15) * time_s + 2.0 * drift)
        wave = np.sin(cycle) + 0.35 * np.sin(2 * cycle + rng.uniform(0, 2 * np.pi))
        swell = 1.0 + 0.5 * _smooth_noise(rng, count, fs=fs, cutoff_hz=0.8)
        vector = np.array([0.25, 0.5, -0.8]) * scale_mv + rng.normal(0.0, 0.3, 3) * scale_mv
        leads8 += (LEAD_VECTORS @ vector)[:, None] * (wave * swell)
    return leads8


def _machine_filter(rng: np.random.Generator, leads8: Leads8, *, fs: float) -> Leads8:
    """Low-pass the signal as recorders do; none of them passes more than 150 Hz."""
    cutoff_hz = float(rng.choice([35.0, 40.0, 100.0, 150.0, 150.0]))
    if cutoff_hz >= 0.45 * fs:
        return leads8
    sections = signal.butter(2, cutoff_hz, fs=fs, output="sos")
    return np.asarray(signal.sosfiltfilt(sections, leads8, axis=-1))


def _electrode_noise(rng: np.random.Generator, *, count: int, fs: float) -> Leads8:
    """Draw wander, muscle and mains noise at RA, LA, LL and C1..C6, and combine it as the leads do."""
    time_s = np.arange(count) / fs
    electrodes = np.zeros((9, count))
    wander_mv = rng.choice([0.0, 0.02, 0.06, 0.15], p=[0.25, 0.35, 0.28, 0.12]) * rng.uniform(0.5, 1.5)
    breath_hz = rng.uniform(0.15, 0.35)
    for row in electrodes:
        row += wander_mv * rng.normal() * np.sin(2 * np.pi * breath_hz * time_s + rng.uniform(0, 2 * np.pi))
        row += wander_mv * 0.7 * _smooth_noise(rng, count, fs=fs, cutoff_hz=0.4)
    muscle_mv = rng.choice([0.001, 0.005, 0.012, 0.03], p=[0.35, 0.35, 0.22, 0.08])
    white = rng.normal(size=electrodes.shape) * rng.lognormal(0.0, 0.4, (9, 1))
    corner_hz = [min(15.0, 0.1 * fs), min(120.0, 0.4 * fs)]
    sections = signal.butter(2, corner_hz, btype="band", fs=fs, output="sos")
    muscle = signal.sosfilt(sections, white, axis=-1)
    if rng.random() < 0.3:  # shivers come and go
        muscle *= np.clip(1.0 + _smooth_noise(rng, count, fs=fs, cutoff_hz=0.5), 0.1, 3.0)
    electrodes += muscle_mv * muscle
    if rng.random() < 0.15:
        mains_hz = float(rng.choice([50.0, 60.0]))
        if mains_hz < 0.45 * fs:
            size_mv = rng.uniform(0.003, 0.03) * rng.uniform(0.2, 1.5, (9, 1))
            electrodes += size_mv * np.sin(2 * np.pi * mains_hz * time_s + rng.uniform(0, 2 * np.pi))
    right_arm, left_arm, left_leg = electrodes[:3]
    central_terminal = electrodes[:3].mean(axis=0)
    return np.concatenate(
        [np.stack([left_arm - right_arm, left_leg - right_arm]), electrodes[3:] - central_terminal]
    )


def _smooth_noise(
    rng: np.random.Generator, count: int, *, fs: float, cutoff_hz: float
) -> NDArray[np.float64]:
    """Draw noise of unit standard deviation and little above the cutoff, by joining a few random values."""
    knots = max(4, int(np.ceil(2 * cutoff_hz * count / fs)) + 4)
    values = rng.normal(size=knots)
    start = rng.uniform(0.0, 1.0)
    positions = start + np.arange(count) * (2 * cutoff_hz / fs)
    base = np.clip(positions.astype(int), 0, knots - 2)
    blend = 0.5 - 0.5 * np.cos(np.pi * np.clip(positions - base, 0.0, 1.0))
    mixed = values[base] * (1 - blend) + values[base + 1] * blend
    return np.asarray(mixed / np.sqrt(np.mean((1 - blend) ** 2 + blend**2)))
