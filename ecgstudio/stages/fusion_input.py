"""What the fusion classifier is given: a record at 100 Hz with a mask of what was printed, age and sex; no network.

Training and the application both come through here, so that they cannot differ.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from ecgstudio.core.arrays import Floats

F32Array = NDArray[np.float32]

FS_HZ = 100.0
SAMPLES = 1000
"""10 s at 100 Hz."""
LARGEST_MV = 10.0
"""Beyond it lies no heart but an electrode fault, which must not drown the rest."""
AGE_MIDDLE = 60.0
AGE_SPREAD = 20.0
SEXES = {"m": 0.0, "f": 1.0}
"""PTB-XL's coding."""
CLINICAL_SIZE = 4


def at_100_hz(mv: Floats, fs: float) -> F32Array:
    """Return the first 10 s of mv[leads, n] at 100 Hz as f32[leads, 1000]; NaN stays NaN, and follows a shorter record.

    Raises:
        ValueError: `fs` is below 100 Hz.
    """
    if not fs >= FS_HZ:
        raise ValueError(f"a record to classify needs at least {FS_HZ:g} Hz, not {fs:g}")
    known = np.isfinite(mv)
    leads, count = known.shape
    wanted = min(SAMPLES, round(count * FS_HZ / fs))
    result = np.full((leads, SAMPLES), np.nan, np.float32)
    if not wanted:
        return result
    nearest = np.minimum((np.arange(wanted) * fs / FS_HZ).round().astype(int), count - 1)
    ratio = Fraction(FS_HZ / fs).limit_denominator(2000)
    for lead in np.flatnonzero(known.any(axis=1)):
        at = np.flatnonzero(known[lead])
        bridged = np.interp(np.arange(count), at, mv[lead, at])
        slow = bridged
        if ratio != 1:
            slow = signal.resample_poly(bridged, ratio.numerator, ratio.denominator, padtype="line")
        result[lead, :wanted] = np.where(known[lead, nearest], slow[:wanted], np.nan)
    return result


def signal_and_mask(mv: F32Array) -> tuple[F32Array, F32Array]:
    """Return mv[..., n] without each lead's median and with 0 for NaN, and 1 where it was known.

    The zero line of a page is not known to better than that median; amplitudes stay in mV.
    """
    known = np.isfinite(mv)
    empty = ~known.any(axis=-1, keepdims=True)
    middle = np.nanmedian(np.where(empty, 0.0, mv), axis=-1, keepdims=True)
    centred = np.clip(mv - middle, -LARGEST_MV, LARGEST_MV)
    return np.where(known, centred, 0.0).astype(np.float32), known.astype(np.float32)


def clinical_input(age: float | None, sex: str | float | None) -> F32Array:
    """Code age in years and sex ("m", "f", or PTB-XL's 0 and 1) as f32[4]; None and NaN mean unknown.

    The four are: age about 60 in units of 20 years, age known, male, female.
    """
    code = SEXES.get(sex, np.nan) if isinstance(sex, str) else np.nan if sex is None else sex
    has_age = age is not None and np.isfinite(age)
    years = (float(age) - AGE_MIDDLE) / AGE_SPREAD if has_age and age is not None else 0.0
    return np.array([years, float(has_age), float(code == SEXES["m"]), float(code == SEXES["f"])], np.float32)
