"""A map of millimetre lines that the network's phases confirm needs no competitor; another one competes."""

from __future__ import annotations

import numpy as np
import pytest

from ecgstudio.api import page_from_array
from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.stages import grid_search
from ecgstudio.stages.contract import NULL_STATUS, Image
from ecgstudio.stages.paper_map import Refined, refine
from tests.fake_runtime import FakeRuntime
from tests.ruled_panels import ruled

PX_PER_MM = 7.0
SIZE_MM = (200.0, 150.0)


def nodes(px_per_mm: float) -> F64:
    columns, rows = (int(side * PX_PER_MM / px_per_mm / GRID_PITCH_MM) + 1 for side in SIZE_MM)
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    return np.asarray(np.stack([x, y], axis=-1) * GRID_PITCH_MM * px_per_mm - 0.5, np.float64)


@pytest.mark.parametrize(
    ("network_px_per_mm", "coherent", "maps"), [(7.0, 0.6, 1), (7.1, 0.6, 1), (7.4, 0.6, 2), (7.0, 0.1, 2)]
)
def test_what_the_network_confirms_has_no_competitor(
    network_px_per_mm: float, coherent: float, maps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refined: list[float] = []
    looked_for_rows: list[bool] = []

    def counted(pixels: Image, grid: GridFit, *, anchored: bool) -> Refined:
        refined.append(grid.px_per_mm)
        return refine(pixels, grid, anchored=anchored)

    monkeypatch.setattr(grid_search, "refine", counted)
    monkeypatch.setattr(grid_search, "_from_network", lambda *_: (nodes(network_px_per_mm), coherent))
    monkeypatch.setattr(grid_search, "row_lines", lambda *_, **__: looked_for_rows.append(True))
    paper = ruled(SIZE_MM, [(0.0, 0.0, *SIZE_MM)], px_per_mm=PX_PER_MM, fine=90.0, bold=90.0)
    keypoints = Keypoints((), np.zeros((0, 2)), np.zeros(0), 0, 0.9, PX_PER_MM, 0.0, mirrored=False)
    found = grid_search.search(page_from_array(paper), keypoints, runtime=FakeRuntime(), status=NULL_STATUS)
    assert len(refined) == maps
    assert found.grid is not None
    assert found.grid.px_per_mm == pytest.approx(PX_PER_MM, rel=0.002)
    assert bool(looked_for_rows) == (maps > 1)
