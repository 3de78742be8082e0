"""Records as a page would show them: each lead only where a layout prints it, with what reading paper does to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ecgstudio.core.leads import LAYOUTS, LEAD_INDEX, Layout
from ecgstudio.stages.fusion_input import FS_HZ, F32Array


@dataclass(frozen=True, slots=True)
class PaperNoise:
    """How much a reading of paper differs from the truth; all zero: only the layout is left."""

    gain: float = 0.03
    jitter_s: float = 0.02
    baseline_mv: float = 0.05
    apex: float = 0.3
    """Up to this part of a sharp peak is lost."""
    gap_share: float = 0.15
    """Of the leads, how many have a hole."""
    gap_s: float = 0.3
    dropout_share: float = 0.25
    """Of the pages, how many lack one to three leads."""
    snr_db: tuple[float, float] = (12.0, 25.0)
    noisy_share: float = 0.7
    """Of the pages, how many carry that noise; the rest was read nearly clean."""
    simultaneous_share: float = 0.1
    """Of the pages, how many show all columns from the same instant on."""


QUIET = PaperNoise(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, (99.0, 99.0), 0.0, 0.0)

TRAINING_LAYOUTS: tuple[tuple[str, float], ...] = (
    ("3x4+1", 0.34), ("3x4", 0.2), ("3x4+3", 0.1), ("3x4+2", 0.04), ("6x2", 0.1), ("6x2+1", 0.07), ("12x1", 0.1),
    ("4x3", 0.03), ("6x1", 0.01), ("6x1-chest", 0.01),
)  # fmt: skip
"""Layouts and how often each is drawn: roughly how often it is met on paper."""


def printed(layout: Layout, count: int, *, simultaneous: bool = False) -> np.ndarray:
    """Return bool[12, count]: where in the 10 s a layout prints each lead."""
    mask = np.zeros((len(LEAD_INDEX), count), bool)
    edges = np.round(np.linspace(0, count, layout.columns + 1)).astype(int)
    for row in layout.rows:
        for column, lead in enumerate(row):
            first, end = (0, edges[1]) if simultaneous else (edges[column], edges[column + 1])
            mask[LEAD_INDEX[lead], first:end] = True
    for lead in layout.rhythm:
        mask[LEAD_INDEX[lead]] = True
    return mask


def draw_layout(rng: np.random.Generator) -> Layout:
    """Draw one of the layouts that training meets."""
    names, weights = zip(*TRAINING_LAYOUTS, strict=True)
    return LAYOUTS[str(rng.choice(names, p=np.array(weights) / sum(weights)))]


def as_paper(mv: F32Array, layout: Layout, rng: np.random.Generator, *, noise: PaperNoise | None = None) -> F32Array:
    """Return mv[12, n] (100 Hz) as read from a page of that layout: NaN where nothing was printed or read."""
    noise = noise or PaperNoise()
    leads, count = mv.shape
    simultaneous = layout.columns > 1 and rng.random() < noise.simultaneous_share
    mask = printed(layout, count, simultaneous=simultaneous)
    result = _shifted(mv, rng.uniform(-1, 1, size=(leads,)) * noise.jitter_s * FS_HZ)
    known = np.isfinite(result)
    filled = np.where(known, result, 0.0)
    if noise.apex:
        smooth = ndimage.uniform_filter1d(filled, 5, axis=1, mode="nearest")
        filled = filled - rng.uniform(0, noise.apex, (leads, 1)) * (filled - smooth)
    filled = filled * rng.uniform(1 - noise.gain, 1 + noise.gain, (leads, 1))
    if noise.baseline_mv:
        filled = filled + _slow(rng, leads, count) * noise.baseline_mv
    if rng.random() < noise.noisy_share:
        filled = filled + _noise(rng, filled, rng.uniform(*noise.snr_db))
    mask &= known
    _tear(mask, rng, noise)
    return np.where(mask, filled, np.nan).astype(np.float32)


def _shifted(mv: F32Array, samples: np.ndarray) -> np.ndarray:
    """Shift each lead by a fraction of samples, the ends held; a NaN spreads to its neighbour."""
    count = mv.shape[1]
    at = np.arange(count)[None] + samples[:, None]
    at = np.clip(at, 0, count - 1)
    low = np.minimum(at.astype(int), count - 2)
    part = at - low
    rows = np.arange(len(mv))[:, None]
    return np.asarray(mv[rows, low] * (1 - part) + mv[rows, low + 1] * part, np.float64)


def _slow(rng: np.random.Generator, leads: int, count: int) -> np.ndarray:
    """Draw a smooth zero line per lead, below 0.5 Hz, of about unit spread."""
    knots = rng.normal(size=(leads, 8))
    return ndimage.zoom(knots, (1, count / 8), order=3, mode="nearest", grid_mode=True)[:, :count]


def _noise(rng: np.random.Generator, mv: np.ndarray, snr_db: float) -> np.ndarray:
    """Draw noise at that ratio to each lead's own spread, half of it white, half of it smooth as a trace's error."""
    level = mv.std(axis=1, keepdims=True) * 10 ** (-snr_db / 20)
    white = rng.normal(size=mv.shape)
    smooth = ndimage.gaussian_filter1d(rng.normal(size=mv.shape), 3.0, axis=1)
    smooth /= max(float(smooth.std()), 1e-9)
    return np.asarray(level * (white + smooth) / np.sqrt(2))


def _tear(mask: np.ndarray, rng: np.random.Generator, noise: PaperNoise) -> None:
    """Take out gaps, and now and then whole leads, in place."""
    count = mask.shape[1]
    for lead in np.flatnonzero(mask.any(axis=1) & (rng.random(len(mask)) < noise.gap_share)):
        shown = np.flatnonzero(mask[lead])
        width = rng.integers(1, max(2, round(noise.gap_s * FS_HZ)))
        first = int(rng.choice(shown))
        mask[lead, first : min(first + width, count)] = False
    if rng.random() < noise.dropout_share:
        mask[rng.choice(len(mask), int(rng.integers(1, 4)), replace=False)] = False
