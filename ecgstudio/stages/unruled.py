"""What a millimetre is on paper whose grid cannot be seen: by rows of ten seconds."""

from __future__ import annotations

import numpy as np

from ecgstudio.core.grid import GridFit
from ecgstudio.core.page import Page
from ecgstudio.stages.calibration import STANDARD_MM_PER_S
from ecgstudio.stages.contract import Runtime, StageError
from ecgstudio.stages.paper_map import rescaled
from ecgstudio.stages.stage2_trace import find_strips
from ecgstudio.stages.strip_reading import printed_strips, read_strips

ROW_MM = 10.0 * STANDARD_MM_PER_S  # nearly all machines print ten seconds across
ROW_NEAR = 0.035  # rows that differ more from it are of another length
LEAST_ROWS, ROWS_AGREE = 3, 0.01


def scaled_by_rows(page: Page, grid: GridFit, *, runtime: Runtime) -> GridFit:
    """Give a map that no printed line confirms the scale by which rows that last about ten seconds last exactly so.

    A percent too much in time costs more than all else. (Pulses are too small to tell the scale so well.)
    """
    length_mm = row_length_mm(page, grid, runtime=runtime)
    if length_mm is None or abs(length_mm / ROW_MM - 1) > ROW_NEAR:
        return grid
    return rescaled(grid, length_mm / ROW_MM)


def row_length_mm(page: Page, grid: GridFit, *, runtime: Runtime) -> float | None:
    """Return how long the traces of most rows are; None if there are too few rows, or of many lengths."""
    try:
        rows, _ = find_strips(page, grid, runtime=runtime)
        readings = printed_strips(read_strips(page, grid, rows, runtime=runtime))
    except StageError:
        return None
    lengths = np.array([reading.row.end_mm - reading.row.start_mm for reading in readings])
    usual = float(np.median(lengths))
    alike = np.abs(lengths / usual - 1) <= ROWS_AGREE
    return float(np.median(lengths[alike])) if alike.sum() >= max(LEAST_ROWS, len(lengths) / 2) else None
