"""Pages with and without truth, for evaluations by the fake stages."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.leads import LEADS
from ecgstudio.stages.contract import NULL_STATUS
from tests import fake_stages


def picture(path: Path, pixels: NDArray[np.uint8] | None = None) -> Path:
    """Write a page; by default one on which the fake stages find an ECG."""
    if pixels is None:
        pixels = np.random.default_rng(0).integers(0, 255, (360, 480, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(np.asarray(pixels), cv2.COLOR_RGB2BGR))
    return path


def case(folder: Path, tier: str, name: str, *, error_mv: float = 0.0) -> Path:
    """Write a case whose truth differs from what the fake stages find by a quick wave of this size."""
    found = fake_stages.read_traces(None, None, None, status=NULL_STATUS)  # type: ignore[arg-type]
    mv = np.full((12, 5000), np.nan, np.float32)
    for trace in found.traces:
        first = round(trace.t0_s * trace.fs)
        wave = error_mv * np.sin(2 * np.pi * 40 * np.arange(len(trace.mv)) / trace.fs)
        mv[LEADS.index(trace.lead), first : first + len(trace.mv)] = trace.mv + wave
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    np.savez(folder / "truth" / f"{name}.npz", mv=mv, fs=500.0)
    return picture(folder / tier / f"{name}.png")
