"""The waves of one beat as moving dipoles: shapes of P, QRS, ST, T and U, and the table of morphologies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

LEAD_VECTORS = np.array(
    [
        [0.632, -0.235, 0.059],  # I
        [0.235, 1.066, -0.132],  # II
        [-0.515, 0.157, -0.917],  # V1
        [0.044, 0.164, -1.387],  # V2
        [0.882, 0.098, -1.277],  # V3
        [1.213, 0.127, -0.601],  # V4
        [1.125, 0.127, -0.086],  # V5
        [0.831, 0.076, 0.230],  # V6
    ]
)
"""Dower's matrix: lead from Frank's X (left), Y (down), Z (back). Dower et al., Clin Cardiol 3:87, 1980."""

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Wave:
    """A Gaussian of the heart vector: peak `vector_mv` at `at_s` from the R peak, a sigma for each flank."""

    at_s: float
    rise_s: float
    fall_s: float
    vector_mv: Vector
    part: str  # "p", "qrs", "t", "u": t and u move with the heart rate, p only exists with an atrial beat


@dataclass(frozen=True, slots=True)
class Beat:
    """The waves of one kind of beat, and the heart vector of its ST segment."""

    waves: tuple[Wave, ...]
    st_mv: Vector = (0.0, 0.0, 0.0)
    j_point_s: float = 0.045


P_WAVES = (
    Wave(-0.165, 0.018, 0.020, (0.035, 0.085, -0.045), "p"),
    Wave(-0.135, 0.020, 0.018, (0.065, 0.045, 0.040), "p"),
)
QRS_NORMAL = (
    Wave(-0.027, 0.008, 0.009, (-0.12, -0.08, -0.22), "qrs"),
    Wave(0.000, 0.011, 0.010, (1.00, 0.62, -0.05), "qrs"),
    Wave(0.020, 0.010, 0.010, (0.25, 0.12, 0.85), "qrs"),
    Wave(0.037, 0.009, 0.009, (-0.22, -0.12, 0.22), "qrs"),
)
QRS_LEFT_BLOCK = (
    Wave(-0.040, 0.014, 0.018, (0.30, 0.15, 0.10), "qrs"),
    Wave(-0.005, 0.019, 0.020, (0.85, 0.40, 0.85), "qrs"),
    Wave(0.048, 0.020, 0.018, (0.85, 0.10, 0.70), "qrs"),
)
QRS_RIGHT_BLOCK = (*QRS_NORMAL[:3], Wave(0.062, 0.018, 0.020, (-0.55, -0.05, -0.60), "qrs"))
QRS_DELTA = (Wave(-0.045, 0.016, 0.024, (0.40, 0.15, -0.22), "qrs"), *QRS_NORMAL[1:])
QRS_ANTERIOR_LOSS = (Wave(-0.024, 0.012, 0.010, (-0.10, 0.05, 0.45), "qrs"), *QRS_NORMAL[1:])
QRS_INFERIOR_LOSS = (Wave(-0.024, 0.013, 0.010, (0.05, -0.60, -0.12), "qrs"), *QRS_NORMAL[1:])
QRS_PACED = (
    Wave(-0.020, 0.020, 0.024, (0.25, -0.55, 0.35), "qrs"),
    Wave(0.035, 0.026, 0.024, (0.60, -0.70, 0.95), "qrs"),
)
T_NORMAL = Wave(0.265, 0.052, 0.036, (0.24, 0.16, -0.22), "t")
T_INVERTED = Wave(0.270, 0.045, 0.040, (-0.22, -0.10, 0.18), "t")
T_PEAKED = Wave(0.250, 0.028, 0.026, (0.50, 0.42, -0.50), "t")
T_LEFT_BLOCK = Wave(0.285, 0.055, 0.042, (-0.35, -0.10, -0.32), "t")
T_RIGHT_BLOCK = Wave(0.280, 0.050, 0.038, (0.28, 0.18, 0.06), "t")
T_PACED = Wave(0.300, 0.055, 0.045, (-0.22, 0.32, -0.26), "t")
T_STRAIN = Wave(0.265, 0.050, 0.036, (-0.24, -0.06, -0.16), "t")
T_FLAT = Wave(0.265, 0.060, 0.045, (0.06, 0.04, -0.05), "t")
U_WAVE = Wave(0.430, 0.030, 0.034, (0.03, 0.03, -0.05), "u")

MORPHOLOGIES: dict[str, tuple[float, Beat]] = {
    # name: (how often, the beat)
    "normal": (0.34, Beat((*QRS_NORMAL, T_NORMAL))),
    "left bundle branch block": (0.08, Beat((*QRS_LEFT_BLOCK, T_LEFT_BLOCK), (-0.05, 0.0, -0.12), 0.09)),
    "right bundle branch block": (0.09, Beat((*QRS_RIGHT_BLOCK, T_RIGHT_BLOCK), j_point_s=0.09)),
    "left ventricular hypertrophy": (0.09, Beat((*QRS_NORMAL, T_STRAIN), (-0.06, -0.03, -0.05))),
    "low voltage": (0.06, Beat((*QRS_NORMAL, T_NORMAL))),
    "anterior infarction": (0.07, Beat((*QRS_ANTERIOR_LOSS, T_NORMAL), (0.08, 0.02, -0.26))),
    "inferior infarction": (0.07, Beat((*QRS_INFERIOR_LOSS, T_NORMAL), (-0.06, 0.24, 0.06))),
    "ST depression": (0.06, Beat((*QRS_NORMAL, T_FLAT), (-0.11, -0.10, 0.12))),
    "early repolarization": (0.04, Beat((*QRS_NORMAL, T_NORMAL), (0.08, 0.05, -0.10))),
    "T inversion": (0.05, Beat((*QRS_NORMAL, T_INVERTED))),
    "peaked T": (0.02, Beat((*QRS_NORMAL, T_PEAKED))),
    "preexcitation": (0.03, Beat((*QRS_DELTA, T_FLAT))),
}
GAIN_RANGES = {"left ventricular hypertrophy": (1.5, 2.4), "low voltage": (0.25, 0.45)}
PACED_BEAT = Beat((*QRS_PACED, T_PACED), j_point_s=0.09)


def ectopic_beat(rng: np.random.Generator) -> Beat:
    """Make a wide ventricular ectopic beat from a random place: large QRS, T the other way."""
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    second = direction + rng.normal(0.0, 0.45, 3)
    gain_mv = rng.uniform(0.9, 2.0)
    width_s = rng.uniform(0.020, 0.032)
    return Beat(
        (
            Wave(-0.02, width_s, width_s, _vector(gain_mv * direction), "qrs"),
            Wave(0.04, width_s, width_s * 1.1, _vector(gain_mv * rng.uniform(0.1, 0.8) * second), "qrs"),
            Wave(0.29, 0.055, 0.042, _vector(-0.35 * gain_mv * direction), "t"),
        ),
        _vector(-0.08 * gain_mv * direction),
        0.10,
    )


def vary_beat(beat: Beat, rng: np.random.Generator, *, gain: float, turn: NDArray[np.float64]) -> Beat:
    """Make one person's version of a beat: turned by a rotation matrix, scaled, each wave a bit off."""
    stretch = rng.lognormal(0.0, 0.08)
    repolarization = rng.lognormal(0.0, 0.30)

    def vary(wave: Wave) -> Wave:
        vector = turn @ np.array(wave.vector_mv) * gain * rng.lognormal(0.0, 0.15)
        vector += rng.normal(0.0, 0.12, 3) * np.linalg.norm(vector)
        # the T wave of a small or tall QRS differs less from the average than the QRS does
        if wave.part in "tu":
            vector *= repolarization / np.sqrt(gain)
        if wave.part == "qrs":
            scaled = replace(wave, at_s=wave.at_s * stretch)
        else:
            scaled = replace(wave, at_s=wave.at_s * rng.lognormal(0.0, 0.04))
        widths = rng.lognormal(0.0, 0.10, 2) * (stretch if wave.part == "qrs" else 1.0)
        return replace(
            scaled, rise_s=wave.rise_s * widths[0], fall_s=wave.fall_s * widths[1], vector_mv=_vector(vector)
        )

    st_mv = turn @ np.array(beat.st_mv) * rng.uniform(0.3, 1.6)
    return Beat(tuple(vary(wave) for wave in beat.waves), _vector(st_mv), beat.j_point_s * stretch)


def random_turn(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the heart's position in the chest: a frontal rotation (the axis) followed by a horizontal one."""
    frontal, horizontal = rng.normal(0.0, np.deg2rad(22.0)), rng.normal(0.0, np.deg2rad(14.0))
    if rng.random() < 0.12:  # left axis deviation, as in a left anterior block
        frontal -= np.deg2rad(rng.uniform(50.0, 80.0))
    about_z = np.array(
        [[np.cos(frontal), -np.sin(frontal), 0], [np.sin(frontal), np.cos(frontal), 0], [0, 0, 1]]
    )
    about_y = np.array(
        [[np.cos(horizontal), 0, -np.sin(horizontal)], [0, 1, 0], [np.sin(horizontal), 0, np.cos(horizontal)]]
    )
    return np.asarray(about_y @ about_z)


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
