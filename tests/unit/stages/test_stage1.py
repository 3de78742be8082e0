"""Stage 1 lays its lattice onto the printed lines, and says how sure it is when there are none."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from ecgstudio.core.arrays import F64
from ecgstudio.core.geometry import apply_homography
from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page, PageId
from ecgstudio.stages.contract import NULL_STATUS, Cancelled, Image, Runtime, StageError
from ecgstudio.stages.settings import GridSettings
from ecgstudio.stages.stage1_grid import fit_grid
from tests.synth_page import GRID_ORIGIN_MM, BlindRuntime, SynthPage, TruthRuntime, synth_page, true_keypoints

NO_KEYPOINTS = Keypoints((), np.zeros((0, 2)), np.zeros(0), 0, 0.9, 5.0, 0.0, mirrored=False)


def fitted(page: Page, keypoints: Keypoints, runtime: Runtime) -> GridFit:
    return fit_grid(page, keypoints, runtime=runtime, settings=GridSettings(), status=NULL_STATUS)


def slips_mm(grid: GridFit, synth: SynthPage, *, period_mm: float = 5.0) -> F64:
    """Return how far [N, 2] the lattice's millimetres are from the sheet's, beyond a constant of whole periods."""
    width, height = synth.sheet.size_mm
    at = np.stack(np.meshgrid(np.linspace(10, width - 10, 9), np.linspace(10, height - 10, 7)), axis=-1).reshape(-1, 2)
    away = grid.to_mm(synth.to_page(at)) - (at - GRID_ORIGIN_MM)
    return away - period_mm * np.round(np.median(away, axis=0) / period_mm)


def rms(values: F64) -> float:
    return float(np.sqrt((values**2).mean()))


def paper(
    *,
    size_px: tuple[int, int],
    px_per_mm: float,
    at_px: tuple[int, int] = (0, 0),
    sheet_mm: tuple[float, float] | None = None,
) -> Page:
    """Return a picture of a ruled sheet on a plain ground; its corner lies at `at_px`."""
    height, width = size_px
    grey = np.full((height, width), 150.0)
    sheet_w, sheet_h = sheet_mm if sheet_mm is not None else (width / px_per_mm, height / px_per_mm)
    w, h = min(int(sheet_w * px_per_mm), width - at_px[0]), min(int(sheet_h * px_per_mm), height - at_px[1])
    dark = np.zeros((h, w))
    for pitch, depth in ((1.0, 70.0), (5.0, 120.0)):
        lines = []
        for n in (w, h):
            away_px = np.abs(((np.arange(n) + 0.5) / px_per_mm + pitch / 2) % pitch - pitch / 2) * px_per_mm
            lines.append(depth * np.clip(0.5 * px_per_mm * 0.3 + 0.5 - away_px, 0, 1))
        dark = np.maximum(dark, np.maximum(lines[0][None, :], lines[1][:, None]))
    grey[at_px[1] : at_px[1] + h, at_px[0] : at_px[0] + w] = 250 - dark
    pixels = np.repeat(np.round(grey).astype(np.uint8)[..., None], 3, axis=2)
    return Page(PageId("3" * 64, 0), pixels, None, "paper.png")


@pytest.mark.parametrize("orientation", [0, 1, 6])
def test_the_lattice_lies_on_the_printed_lines(orientation: int) -> None:
    synth = synth_page("3x4", width_mm=60.0, orientation=orientation)
    grid = fitted(synth.page, true_keypoints(synth), TruthRuntime(synth))
    assert rms(slips_mm(grid, synth)) < 0.06
    assert grid.px_per_mm == pytest.approx(6.0, rel=0.003)
    assert grid.confidence > 0.8


@pytest.mark.parametrize(("zoom", "turn_deg"), [(0.9, 0.0), (1.1, 1.5), (0.95, -1.5), (1.22, 0.0)])
def test_errors_of_stage_0_do_not_matter(zoom: float, turn_deg: float) -> None:
    synth = synth_page("3x4", width_mm=60.0)
    lies = true_keypoints(synth)
    off = replace(lies, px_per_mm=lies.px_per_mm * zoom, angle_rad=lies.angle_rad + np.deg2rad(turn_deg))
    grid = fitted(synth.page, off, TruthRuntime(synth))
    assert rms(slips_mm(grid, synth)) < 0.08


@pytest.mark.parametrize("runtime", ["truth", "blind"])
def test_the_fine_lines_alone_are_enough(runtime: str) -> None:
    synth = synth_page("3x4", width_mm=60.0)
    grid = fitted(synth.page, true_keypoints(synth), TruthRuntime(synth) if runtime == "truth" else BlindRuntime())
    assert rms(slips_mm(grid, synth)) < 0.06


def test_the_network_alone_is_enough() -> None:
    synth = synth_page("3x4", width_mm=60.0)
    bare = replace(synth.page, pixels=without_lines(synth.page.pixels))
    grid = fitted(bare, true_keypoints(synth), TruthRuntime(synth))
    assert rms(slips_mm(grid, synth)) < 0.3


def without_lines(pixels: Image) -> Image:
    """Wipe the print off a coded page: what is left is where it lies."""
    bare = np.array(pixels)
    bare[..., 1:] = 120
    return bare


@pytest.mark.parametrize("orientation", [0, 3])
def test_a_bent_sheet_in_perspective_is_followed(orientation: int) -> None:
    flat = paper(size_px=(780, 1080), px_per_mm=6.0).pixels
    corners = np.array([[0.0, 0.0], [1079.0, 0.0], [0.0, 779.0], [1079.0, 779.0]])
    seen = corners + np.array([[30.0, 20.0], [-10.0, 5.0], [5.0, -15.0], [-35.0, -25.0]])
    homography = cv2.getPerspectiveTransform(seen.astype(np.float32), corners.astype(np.float32)).astype(np.float64)
    y, x = np.mgrid[:780, :1080].astype(np.float64)
    xy = np.stack([x, y], axis=-1).reshape(-1, 2)

    def to_flat(page_xy: F64) -> F64:
        bend = 12.0 * np.stack([np.sin(page_xy[:, 1] / 300), np.cos(page_xy[:, 0] / 350)], axis=1)  # 2 mm
        return apply_homography(homography, page_xy) + bend

    source = to_flat(xy).reshape(780, 1080, 2).astype(np.float32)
    ground = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": (150, 150, 150)}
    bent = cv2.remap(flat, source[..., 0], source[..., 1], cv2.INTER_LINEAR, **ground)
    page = Page(PageId("3" * 64, 0), np.ascontiguousarray(np.rot90(bent, orientation)), None, "bent.png")
    lies = replace(NO_KEYPOINTS, px_per_mm=5.8, orientation=orientation, angle_rad=-np.pi / 2 * orientation)
    grid = fitted(page, lies, BlindRuntime())
    probe = np.stack(np.meshgrid(np.linspace(120, 960, 12), np.linspace(120, 660, 9)), axis=-1).reshape(-1, 2)
    on_page = probe if orientation == 0 else np.stack([779 - probe[:, 1], probe[:, 0]], axis=1)
    away = grid.to_mm(on_page) - (to_flat(probe) + 0.5) / 6.0
    away -= 5 * np.round(np.median(away, axis=0) / 5)
    assert np.abs(away).max() < 0.25


def test_lines_without_emphasis_give_whole_millimetres() -> None:
    page = paper(size_px=(600, 900), px_per_mm=6.0)
    thin = np.array(page.pixels)
    thin[thin < 180] = 180  # the bold lines look like the others
    grid = fitted(replace(page, pixels=thin), replace(NO_KEYPOINTS, px_per_mm=6.2), BlindRuntime())
    probe = np.stack(np.meshgrid(np.linspace(100, 800, 9), np.linspace(100, 500, 7)), axis=-1).reshape(-1, 2)
    away = grid.to_mm(probe) - (probe + 0.5) / 6.0
    assert rms(away - np.round(np.median(away, axis=0))) < 0.06


def test_without_any_line_the_plain_scale_is_left_and_little_confidence() -> None:
    blank = Page(PageId("3" * 64, 0), np.full((600, 900, 3), 240, np.uint8), None, "blank.png")
    grid = fitted(blank, replace(NO_KEYPOINTS, px_per_mm=4.0), BlindRuntime())
    assert grid.px_per_mm == pytest.approx(4.0, rel=0.01)
    assert grid.confidence < 0.2


def test_the_plain_scale_of_a_long_picture_is_that_of_stage_0() -> None:
    blank = Page(PageId("3" * 64, 0), np.full((900, 1400, 3), 240, np.uint8), None, "blank.png")
    grid = fitted(blank, replace(NO_KEYPOINTS, px_per_mm=2.0), BlindRuntime())  # 700 mm: coarser than the networks like
    assert grid.px_per_mm == pytest.approx(2.0, rel=0.01)


def test_a_sheet_far_away_on_a_long_picture_is_found() -> None:
    page = paper(size_px=(1500, 2480), px_per_mm=4.0, at_px=(500, 400), sheet_mm=(250.0, 180.0))  # 620 mm of picture
    grid = fitted(page, replace(NO_KEYPOINTS, px_per_mm=4.0), BlindRuntime())
    probe = np.stack(np.meshgrid(np.linspace(600, 1400, 9), np.linspace(500, 1000, 7)), axis=-1).reshape(-1, 2)
    away = grid.to_mm(probe) - (probe + 0.5) / 4.0
    assert rms(away - np.median(away, axis=0)) < 0.1
    assert grid.confidence > 0.3


@pytest.mark.parametrize("px_per_mm", [0.1, 200.0])
def test_a_scale_that_makes_no_sense_is_refused(px_per_mm: float) -> None:
    blank = Page(PageId("3" * 64, 0), np.full((60, 90, 3), 240, np.uint8), None, "blank.png")
    with pytest.raises(StageError, match="no paper scale was found") as error:
        fitted(blank, replace(NO_KEYPOINTS, px_per_mm=px_per_mm), BlindRuntime())
    assert error.value.hint


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (40, 60)])
def test_a_tiny_picture_has_a_plain_lattice(shape: tuple[int, int]) -> None:
    tiny = Page(PageId("3" * 64, 0), np.full((*shape, 3), 240, np.uint8), None, "tiny.png")
    assert fitted(tiny, NO_KEYPOINTS, BlindRuntime()).confidence < 0.2


def test_the_caller_may_stop_it() -> None:
    class Stopped:
        def checkpoint(self, fraction: float, note: str = "") -> None:
            raise Cancelled

    page = paper(size_px=(200, 300), px_per_mm=5.0)
    with pytest.raises(Cancelled):
        fit_grid(page, NO_KEYPOINTS, runtime=BlindRuntime(), settings=GridSettings(), status=Stopped())
