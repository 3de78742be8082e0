"""The picture of what was found on a page: grid, keypoints and traces drawn over its pixels."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.geometry import dashes
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page
from ecgstudio.core.rebuilt import Reconstruction, spans
from ecgstudio.stages.contract import Failed, Outcome
from ecgstudio.stages.pipeline import Analysis

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

GRID_COLOUR: Final[Colour] = (0, 190, 215)
MARKER_COLOUR: Final[Colour] = (200, 0, 160)
UNSURE_COLOUR: Final[Colour] = (255, 225, 120)
REBUILT_COLOUR: Final[Colour] = (225, 0, 60)
HALO_COLOUR: Final[Colour] = (255, 255, 255)
LEAD_COLOURS: Final[dict[str, Colour]] = {
    **dict.fromkeys(("I", "II", "III"), (20, 90, 220)),
    **dict.fromkeys(("aVR", "aVL", "aVF"), (0, 140, 60)),
    **dict.fromkeys(("V1", "V2", "V3"), (215, 80, 0)),
    **dict.fromkeys(("V4", "V5", "V6"), (140, 40, 190)),
}

GRID_OPACITY: Final = 0.45
TRACE_OPACITY: Final = 0.6  # the ink beneath stays visible
UNSURE_BELOW: Final = 0.5  # confidence under which a sample stands on a pale band
TRACE_WIDTH_MM: Final = 0.25  # 2 px at 200 dpi
DASH_MM: Final = 1.2
LABEL_HEIGHT_MM: Final = 2.5
BOX_HALF_MM: Final = (3.0, 2.2)
SUBPIXEL_BITS: Final = 4
FALLBACK_PX_PER_MM: Final = 8.0
FAR_OUTSIDE_PX: Final = 1e5  # OpenCV's drawing overflows far outside the picture


def render_overlay(page: Page, analysis: Analysis) -> Image:
    """Draw what the analysis knows so far over a copy of the page, u8[H, W, 3] RGB of the same size."""
    keypoints, grid, traces = (_known(o) for o in (analysis.keypoints, analysis.grid, analysis.traces))
    picture = np.array(page.pixels)
    px_per_mm = FALLBACK_PX_PER_MM
    if isinstance(keypoints, Keypoints):
        px_per_mm = keypoints.px_per_mm
    if isinstance(grid, GridFit):
        px_per_mm = grid.px_per_mm
        picture = _with_grid(picture, grid)
    px_per_mm = float(np.clip(px_per_mm, 1.0, 60.0))
    if isinstance(traces, DigitizedEcg):
        picture = _with_traces(picture, traces, px_per_mm=px_per_mm)
    rebuilt = _known(analysis.reconstruct)
    if isinstance(rebuilt, Reconstruction):
        _draw_rebuilt(picture, rebuilt, px_per_mm=px_per_mm)
    if isinstance(keypoints, Keypoints):
        _draw_keypoints(picture, keypoints, px_per_mm=px_per_mm)
    if isinstance(traces, DigitizedEcg):
        _draw_names(picture, traces, px_per_mm=px_per_mm)
    return picture


def encode_png(picture: Image) -> bytes:
    """Return an RGB picture as the content of a PNG file."""
    done, content = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"no PNG can be made of a picture of {picture.shape}")
    return bytes(content)


def _known(outcome: Outcome[object] | None) -> object | None:
    return None if outcome is None or isinstance(outcome.value, Failed) else outcome.value


def _with_grid(picture: Image, grid: GridFit) -> Image:
    """Blend in the 5-mm lines, curved as the paper is."""
    rows, columns = grid.nodes.shape[:2]
    x_mm, y_mm = (np.arange(count, dtype=np.float64) * GRID_PITCH_MM for count in (columns, rows))
    fine_x_mm, fine_y_mm = (np.arange(4 * count - 3, dtype=np.float64) * GRID_PITCH_MM / 4 for count in (columns, rows))
    across = grid.lattice_to_page(fine_x_mm, y_mm)
    down = grid.lattice_to_page(x_mm, fine_y_mm).transpose(1, 0, 2)
    layer = picture.copy()
    for line in (*across, *down):
        _draw_line(layer, line, colour=GRID_COLOUR, width=1)
    return _blend(picture, layer, GRID_OPACITY)


def _with_traces(picture: Image, ecg: DigitizedEcg, *, px_per_mm: float) -> Image:
    """Blend in the traces, one hue per lead group, with a pale band where a sample is uncertain."""
    width = max(2, round(TRACE_WIDTH_MM * px_per_mm))
    layer = picture.copy()
    for trace in ecg.traces:
        for run in _runs(trace, _read(trace) & (trace.confidence < UNSURE_BELOW)):
            _draw_line(layer, run, colour=UNSURE_COLOUR, width=4 * width)
    for trace in ecg.traces:
        for run in _runs(trace, _read(trace)):
            _draw_line(layer, run, colour=LEAD_COLOURS[trace.lead], width=width)
    return _blend(picture, layer, TRACE_OPACITY)


def _draw_rebuilt(picture: Image, reconstruction: Reconstruction, *, px_per_mm: float) -> None:
    """Draw what the reconstruction changed or filled: dashed and in a colour that no lead has."""
    width = max(1, round(TRACE_WIDTH_MM * px_per_mm / 2))
    for trace in reconstruction.traces:
        for first, last in spans((trace.mark > 0) & np.isfinite(trace.xy).all(axis=1)):
            for dash in dashes(trace.xy[max(first - 1, 0) : last + 1], length=DASH_MM * px_per_mm):
                _draw_line(picture, dash, colour=REBUILT_COLOUR, width=width)


def _draw_names(picture: Image, ecg: DigitizedEcg, *, px_per_mm: float) -> None:
    """Write each trace's lead above its first sample."""
    for trace in ecg.traces:
        read = np.flatnonzero(_read(trace))
        if len(read):
            place = trace.xy[read[0]] - (0.0, 4.0 * px_per_mm)
            _write(picture, trace.lead, place, colour=LEAD_COLOURS[trace.lead], px_per_mm=px_per_mm)


def _draw_keypoints(picture: Image, keypoints: Keypoints, *, px_per_mm: float) -> None:
    """Frame each printed name; a marker's kind is written above its frame."""
    half = np.array(BOX_HALF_MM) * px_per_mm
    for name, xy in zip(keypoints.names, keypoints.xy, strict=True):
        colour = LEAD_COLOURS.get(name, MARKER_COLOUR)
        corners = xy + half * [[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]
        _draw_line(picture, corners, colour=colour, width=max(1, round(px_per_mm / 8)))
        if name not in LEAD_COLOURS:
            _write(picture, name, corners[0] - (0.0, 1.0), colour=colour, px_per_mm=0.7 * px_per_mm)


def _read(trace: LeadTrace) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(trace.mv) & np.isfinite(trace.xy).all(axis=1))


def _runs(trace: LeadTrace, wanted: NDArray[np.bool_]) -> list[F64]:
    """Cut a trace into its stretches of wanted samples."""
    return [trace.xy[start:end] for start, end in spans(wanted)]


def _draw_line(picture: Image, xy: F64, *, colour: Colour, width: int) -> None:
    inside = np.clip(xy, -FAR_OUTSIDE_PX, FAR_OUTSIDE_PX)
    points = np.round(inside * (1 << SUBPIXEL_BITS)).astype(np.int32)
    cv2.polylines(
        picture, [points], isClosed=False, color=colour, thickness=width, lineType=cv2.LINE_AA, shift=SUBPIXEL_BITS
    )


def _write(picture: Image, text: str, xy: F64, *, colour: Colour, px_per_mm: float) -> None:
    """Write text whose lower left corner is at `xy`, moved inside the picture, with a white halo."""
    font, height = cv2.FONT_HERSHEY_SIMPLEX, max(8.0, LABEL_HEIGHT_MM * px_per_mm)
    size = height / 22.0  # capitals of this font are 22 px tall at size 1
    thickness = max(1, round(height / 10))
    (width, tall), _ = cv2.getTextSize(text, font, size, thickness)
    x = int(np.clip(xy[0], 0, max(0, picture.shape[1] - width)))
    y = int(np.clip(xy[1], tall + 1, max(tall + 1, picture.shape[0] - 2)))
    for ink, line in ((HALO_COLOUR, 3 * thickness), (colour, thickness)):
        cv2.putText(picture, text, (x, y), font, size, ink, line, cv2.LINE_AA)


def _blend(below: Image, above: Image, opacity: float) -> Image:
    return np.asarray(cv2.addWeighted(above, opacity, below, 1 - opacity, 0), np.uint8)
