"""Stages that answer at once: a 3x4 page with twelve leads wherever a picture is not blank; no network is asked."""

from dataclasses import dataclass

import numpy as np
import pytest

from ecgstudio import api
from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LAYOUTS, limb_leads
from ecgstudio.core.page import Page
from ecgstudio.stages import stage0_keypoints, stage1_grid, stage2_trace
from ecgstudio.stages.contract import FloatMap, StageError, Status
from ecgstudio.stages.reconstruct import WINDOW_PX
from tests.fake_classifier import FakeClassifier, NoClassifier

PX_PER_MM = 2.0
LAYOUT = LAYOUTS["3x4"]
FS, SECONDS = 500.0, 2.5


@dataclass(frozen=True)
class NoNetworks(NoClassifier):
    """A runtime that fake stages never ask."""

    weights_hash: str = "no weights"
    device: str = "cpu"


@dataclass(frozen=True)
class Lifting(NoNetworks):
    """A runtime for fake stages whose last network lifts every trace by half a millivolt at 10 mm/mV."""

    reconstructor: str = "lifting"

    def reconstruct(self, pictures: FloatMap, series: FloatMap) -> FloatMap:
        return np.full((len(series), WINDOW_PX), 0.5, np.float32)


class OnlyAClassifier(FakeClassifier, NoNetworks):
    """A runtime for fake stages that classifies what they read."""


def detect_keypoints(page: Page, *, status: Status, **_: object) -> Keypoints:
    """Find every lead of a 3x4 page; a blank page has none."""
    status.checkpoint(0.5, "looking")
    if np.ptp(page.pixels) == 0:
        raise StageError("keypoints", "there is no ECG on this page", "check the file")
    xy = [(20.0 + 120 * column, 40.0 + 60 * row) for row in range(3) for column in range(4)]
    names = tuple(lead for row in LAYOUT.rows for lead in row)
    return Keypoints(names, np.array(xy), np.full(12, 0.9), 0, 1.0, PX_PER_MM, 0.0, False)


def fit_grid(page: Page, keypoints: Keypoints, *, status: Status, **_: object) -> GridFit:
    """Lay a flat lattice over the page."""
    status.checkpoint(0.5, "looking")
    columns, rows = (int(side // (5 * PX_PER_MM)) + 1 for side in (page.width, page.height))
    nodes = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1) * 5 * PX_PER_MM
    return GridFit(nodes.astype(np.float64), PaperScale(25.0, 10.0, "speed printed, gain pulse"), 0.95)


def read_traces(page: Page, keypoints: Keypoints, grid: GridFit, *, status: Status, **_: object) -> DigitizedEcg:
    """Return sines that obey Einthoven's law."""
    status.checkpoint(0.5, "reading")
    t_s = np.arange(int(SECONDS * FS)) / FS
    traces = []
    for row, leads in enumerate(LAYOUT.rows):
        for column, lead in enumerate(leads):
            at_s = t_s + column * SECONDS
            mv = _mv(lead, at_s)
            xy = np.column_stack([20 + (at_s * 25) * PX_PER_MM, 50.0 + 60 * row - mv * 10 * PX_PER_MM])
            traces.append(LeadTrace(lead, column * SECONDS, FS, mv, xy, np.full(len(mv), 0.97)))
    return DigitizedEcg(tuple(traces), LAYOUT.name)


def _mv(lead: str, t_s: F64) -> F64:
    limbs = limb_leads(0.5 * np.sin(2 * np.pi * 1.2 * t_s), 0.8 * np.sin(2 * np.pi * 1.2 * t_s))
    names = ("I", "II", "III", "aVR", "aVL", "aVF")
    return limbs[names.index(lead)] if lead in names else np.sin(2 * np.pi * 1.2 * t_s)


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put these stages, and a runtime without networks, in the place of the real ones."""
    monkeypatch.setattr(api, "load_runtime", lambda device="auto", weights_folder=None: NoNetworks())
    monkeypatch.setattr(stage0_keypoints, "detect_keypoints", detect_keypoints)
    monkeypatch.setattr(stage1_grid, "fit_grid", fit_grid)
    monkeypatch.setattr(stage2_trace, "read_traces", read_traces)
