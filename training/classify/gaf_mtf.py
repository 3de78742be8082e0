"""Gramian angular fields and Markov transition fields of the mean beat, through pyts, kept on disk once made.

An image of the whole 10 s would give 0.1 s to a pixel and hide every QRS, so each lead shows its mean beat. Twelve
leads share the three channels as tiles of 2 x 2. The Gramian field is of mV on a fixed scale: a scale per lead would
lose the amplitude, which hypertrophy is read from. It is the difference field: the summation field of small waves
is quadratic in them, and a T wave of 0.2 mV would be three grey levels.
"""

from __future__ import annotations

import hashlib
import logging
import math
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from ecgstudio.stages.beats import find_beats, mean_beat
from ecgstudio.stages.fusion_input import FS_HZ

logger = logging.getLogger(__name__)

U8 = NDArray[np.uint8]
KINDS = ("gaf", "mtf")
CHANNELS = 3
BEFORE_S, AFTER_S = 0.3, 0.5
LARGEST_MV = 1.5
"""±1.5 mV fill the scale of the Gramian field; larger waves are cut."""
MTF_BINS = 8
CACHE_FORMAT = 1
CHUNK = 256


def images_of(signals: NDArray[np.float32], *, kind: str, size: int, cache: Path | None = None) -> U8:
    """Return u8[N, 3, size, size] of signals [N, leads, n] at 100 Hz; with a cache, from a file mapped to memory.

    Raises:
        ValueError: `kind` is neither "gaf" nor "mtf", or the size leaves no room for the leads.
    """
    if kind not in KINDS:
        raise ValueError(f"images must be one of {', '.join(KINDS)}, not {kind!r}")
    if cache is None:
        return np.concatenate([_images(part, kind=kind, size=size) for part in _chunks(signals)])
    digest = hashlib.sha256(f"{CACHE_FORMAT} {kind} {size} {signals.shape}".encode())
    digest.update(np.ascontiguousarray(signals).data)
    path = cache / f"{kind}-{size}-{digest.hexdigest()[:16]}.npy"
    if not path.is_file():
        logger.info("making %d images in %s", len(signals), path)
        cache.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        stored = open_memmap(temporary, "w+", np.uint8, (len(signals), CHANNELS, size, size))
        for index, part in enumerate(_chunks(signals)):
            stored[index * CHUNK : index * CHUNK + len(part)] = _images(part, kind=kind, size=size)
        stored.flush()
        temporary.replace(path)
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def beat_of(signal: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean beat [leads, m] of a signal [leads, n] in mV; its beginning where no beat is found."""
    count = round(BEFORE_S * FS_HZ) + round(AFTER_S * FS_HZ) + 1
    beats = find_beats(signal, FS_HZ)
    if len(beats):
        beat = mean_beat(signal, FS_HZ, beats, before_s=BEFORE_S, after_s=AFTER_S).mv
    else:
        beat = np.asarray(signal[:, :count] - np.nan_to_num(np.nanmean(signal, axis=1, keepdims=True)), np.float64)
    return np.nan_to_num(beat)


def mosaic(tiles: NDArray[np.float64], *, size: int) -> NDArray[np.float64]:
    """Lay tiles [leads, t, t] out as [3, size, size]: as many leads per channel, row by row; the rest stays 0."""
    leads, tile, _ = tiles.shape
    side = tiles_per_side(leads)
    result = np.zeros((CHANNELS, size, size))
    for lead, values in enumerate(tiles):
        channel, place = divmod(lead, side * side)
        y, x = (tile * each for each in divmod(place, side))
        result[channel, y : y + tile, x : x + tile] = values
    return result


def tiles_per_side(leads: int) -> int:
    """Return how many tiles stand side by side in a channel."""
    return math.ceil(math.sqrt(leads / CHANNELS))


def _images(signals: NDArray[np.float32], *, kind: str, size: int) -> U8:
    from pyts.image import GramianAngularField, MarkovTransitionField  # slow to import: it brings numba

    beats = np.stack([beat_of(signal) for signal in signals])
    count, leads, samples = beats.shape
    tile = size // tiles_per_side(leads)
    rows = beats.reshape(-1, samples)
    tile_of = min(tile, samples)
    fields = np.zeros((len(rows), tile_of, tile_of))
    moving = np.ptp(rows, axis=1) > 0
    if kind == "gaf":
        field = GramianAngularField(tile_of, sample_range=None, method="difference")
        fields = field.transform(np.clip(rows / LARGEST_MV, -1, 1))
        levels = (fields + 1) / 2
    else:
        if moving.any():
            fields[moving] = MarkovTransitionField(tile_of, n_bins=MTF_BINS, strategy="uniform").transform(rows[moving])
        levels = fields
    tiles = np.round(255 * np.clip(levels, 0, 1)).astype(np.uint8).reshape(count, leads, tile_of, tile_of)
    return np.stack([mosaic(_enlarged(each, tile), size=size) for each in tiles]).astype(np.uint8)


def _enlarged(tiles: U8, tile: int) -> NDArray[np.float64]:
    """Stretch tiles [leads, t, t] to a larger side by repeating pixels: a beat has 81 samples and no more."""
    at = np.arange(tile) * tiles.shape[1] // tile
    return tiles[:, at][:, :, at].astype(np.float64)


def _chunks(signals: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [signals[first : first + CHUNK] for first in range(0, len(signals), CHUNK)]
