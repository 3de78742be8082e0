"""Crops show what their targets say, in the same pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from ecgstudio.core.leads import KEYPOINT_NAMES, LEAD_INDEX
from ecgstudio.stages.decode import resample_heights, sharpened, trace_path
from training import sampling
from training.sampling import MappedPage, StripPose, StripSample
from training.signals import Record, open_source
from training.synth.page import Sheet, render_sheet
from training.synth.sheet_map import lattice_mm
from training.synth.style import PageStyle
from training.synth.truth import PageTruth

FlatPage = Callable[[Sheet], MappedPage]

TARGET_SIGMA_PX = 1.2
RHYTHM_ROW = 3


@pytest.fixture(scope="module")
def sheet(record: Record, plain_style: PageStyle) -> Sheet:
    return render_sheet(record.mv, record.fs, rng=np.random.default_rng(1), style=plain_style)


@pytest.fixture(scope="module")
def page(sheet: Sheet, flat_page: FlatPage) -> MappedPage:
    return flat_page(sheet)


def straight_pose(centre_mm: np.ndarray, shape: tuple[int, int]) -> StripPose:
    return StripPose(shape, centre_mm, np.eye(2), np.zeros(2), np.zeros(2), np.zeros(2))


def sample_columns(strip: StripSample) -> np.ndarray:
    return (np.arange(len(strip.height)) + 0.5) / 2 - 0.5


# --- stage 2 --------------------------------------------------------------------------------------------------


def log_columns(heights: np.ndarray, rows: int) -> np.ndarray:
    score = -0.5 * ((np.arange(rows)[:, None] - heights) / TARGET_SIGMA_PX) ** 2
    score = np.where(np.isfinite(heights), score, 0.0)
    return (score - np.log(np.exp(score).sum(axis=0)))[None].astype(np.float32)


@pytest.mark.parametrize("index", [0, 3, 4])
def test_heights_of_a_strip_decode_to_the_record_above_35_db(
    plain_style: PageStyle, flat_page: FlatPage, index: int
) -> None:
    """With a cart's 40-Hz filter: 200 columns a second cannot hold what lies above 100 Hz."""
    record = open_source("synthetic")[index]
    rows = tuple(30.0 + 40 * np.arange(4))
    style = replace(plain_style, filter_hz=40.0, row_mm=rows, size_mm=(275.0, 180.0))
    page = flat_page(render_sheet(record.mv, record.fs, rng=np.random.default_rng(0), style=style))
    lead = page.truth.sheet.leads[-1]
    pose = straight_pose(np.array([(lead.start_mm + lead.end_mm) / 2, lead.axis_mm]), (480, 2208))
    strip = sampling.cut_strip(page, pose, row=RHYTHM_ROW)

    heights, mass = trace_path(log_columns(strip.height, 480))
    x_mm = pose.to_mm(np.stack([sample_columns(strip), np.zeros(4416)], axis=1))[:, 0]
    at_mm = lead.start_mm + np.arange(5000) / 500 * 25
    height, _ = resample_heights(x_mm, sharpened(heights[0]), mass[0] * strip.presence, at_mm, max_gap_px=0.5)
    y_mm = pose.to_mm(np.stack([np.zeros(5000), height], axis=1))[:, 1]
    read_mv = (lead.zero_mm - y_mm) / lead.mm_per_mV

    true_mv = page.truth.sheet.record_mv[LEAD_INDEX["II"]]
    known = np.isfinite(read_mv)
    noise = np.sum((read_mv - true_mv)[known] ** 2)
    assert known.mean() > 0.995
    assert 10 * np.log10(np.sum((true_mv - true_mv.mean())[known] ** 2) / noise) > 35


def test_ink_of_a_bent_strip_lies_at_its_heights(page: MappedPage) -> None:
    rng, errors = np.random.default_rng(5), []
    for _ in range(12):
        strip = sampling.sample_strip(page, rng, shape=(320, 384))
        own = (strip.presence == 1) & (strip.slope < 0.1) & np.isfinite(strip.height)
        columns, heights = sample_columns(strip)[own], strip.height[own].astype(float)
        window = heights[:, None] + np.arange(-5, 6, 0.25)
        ink = 255.0 - map_coordinates(strip.strip[0].astype(float), [window, columns[:, None] + 0 * window], order=1)
        alone = (ink[:, 0] < 3) & (ink[:, -1] < 3) & (ink.max(axis=1) > 60)
        errors.append(((ink * window).sum(axis=1) / np.maximum(ink.sum(axis=1), 1) - heights)[alone])
    pooled = np.concatenate(errors)
    assert len(pooled) > 500
    assert abs(np.median(pooled)) < 0.1
    assert np.median(np.abs(pooled)) < 0.15


def test_a_strips_map_and_its_inverse_agree(page: MappedPage) -> None:
    rng = np.random.default_rng(2)
    for _ in range(5):
        pose = sampling.random_strip_pose(page.truth.sheet, 1, rng, shape=(320, 384))
        px = rng.uniform((0, 0), (384, 320), (200, 2))
        np.testing.assert_allclose(pose.to_strip(pose.to_mm(px)), px, atol=0.01)


def test_presence_and_boundaries_follow_the_leads(page: MappedPage) -> None:
    leads = [lead for lead in page.truth.sheet.leads if lead.row == 0]
    pose = straight_pose(np.array([137.0, leads[0].axis_mm]), (320, 2208))
    strip = sampling.cut_strip(page, pose, row=0)
    starts, ends = (
        pose.to_strip(np.array([[x, 0.0] for x in places]))[:, 0]
        for places in ([lead.start_mm for lead in leads], [lead.end_mm for lead in leads])
    )
    columns = sample_columns(strip)
    inside = ((columns[:, None] > starts) & (columns[:, None] < ends)).any(axis=1)
    np.testing.assert_array_equal(strip.presence == 1, inside)
    nearest = np.abs(columns[:, None] - np.concatenate([starts, ends])).min(axis=1)
    np.testing.assert_array_equal(strip.boundary == 1, nearest <= 1.25)


def test_segmentation_tells_own_from_other_traces(page: MappedPage) -> None:
    own, other = (next(x for x in page.truth.sheet.leads if x.row == row) for row in (1, 2))
    pose = straight_pose(np.array([own.start_mm + 30, (own.axis_mm + other.axis_mm) / 2]), (320, 384))
    strip = sampling.cut_strip(page, pose, row=1)
    for lead, value in ((own, 1), (other, 2)):
        x, y = pose.to_strip(lead.line_mm[300:-300]).T
        hit = strip.segmentation[np.floor((y + 0.5) / 4).astype(int), np.floor((x + 0.5) / 2).astype(int)]
        assert np.mean(hit == value) > 0.9


def test_what_the_picture_does_not_show_has_no_height(page: MappedPage) -> None:
    lead = page.truth.sheet.leads[-1]
    cut_px = round((lead.start_mm + 100) * 8)
    cropped = MappedPage(page.pixels[:, :cut_px], page.truth)
    pose = straight_pose(np.array([lead.start_mm + 100, lead.axis_mm]), (320, 384))
    strip = sampling.cut_strip(cropped, pose, row=RHYTHM_ROW)
    columns = sample_columns(strip)
    shown, hidden = columns < 190, columns > 193
    assert not np.isfinite(strip.height[hidden]).any()
    assert not strip.presence[hidden].any()
    assert np.isfinite(strip.height[shown]).all()


# --- stages 0 and 1 -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bent_page(sheet: Sheet) -> MappedPage:
    """A page of which only the map counts: turned by 6 degrees, 6 px/mm, bent by 1 mm."""
    turn = np.deg2rad(6)
    lattice = lattice_mm(sheet.truth.size_mm, 2.5)
    waved = lattice + np.sin(lattice[..., ::-1] / 25)
    lattice_px = 6 * waved @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + 120.0
    return MappedPage(np.full((900, 1700, 3), 255, np.uint8), PageTruth(sheet.truth, lattice_px, 2.5, "photo", 0))


def test_to_mm_inverts_to_page(bent_page: MappedPage) -> None:
    size_mm = bent_page.truth.sheet.size_mm
    mm = np.random.default_rng(1).uniform((0, 0), size_mm, (500, 2))
    np.testing.assert_allclose(bent_page.to_mm(bent_page.to_page(mm), np.array(size_mm) / 2), mm, atol=1e-4)


def test_a_view_is_upright_at_five_px_per_mm_around_its_centre(bent_page: MappedPage) -> None:
    centre = np.array([80.0, 60.0])
    view = sampling.random_view(
        bent_page, np.random.default_rng(0), centre_mm=centre, size=320, turn_deg=0.0, zoom_sigma=0.0
    )
    seen = view.from_page(bent_page.to_page(centre + np.array([[0.0, 0.0], [0.1, 0.0], [0.0, 0.1]])))
    np.testing.assert_allclose(seen[0], (159.5, 159.5), atol=1e-6)
    across, down = (seen[1] - seen[0]) / 0.1, (seen[2] - seen[0]) / 0.1
    assert np.sqrt(across[0] * down[1] - across[1] * down[0]) == pytest.approx(5, rel=0.01)
    assert abs(across[1] - down[0]) < 0.05


@pytest.mark.parametrize(
    ("offset_mm", "phase"), [((0, 0), (1, 0, 1, 0)), ((1.25, 0), (0, 1, 1, 0)), ((0, 2.5), (1, 0, -1, 0))]
)
def test_the_phase_target_is_known_at_nodes(
    bent_page: MappedPage, offset_mm: tuple[float, float], phase: tuple[float, ...]
) -> None:
    centre = np.array([80.0, 60.0])
    view = sampling.random_view(
        bent_page, np.random.default_rng(3), centre_mm=centre, size=320, turn_deg=2.5, zoom_sigma=0.1
    )
    targets = sampling.grid_targets(bent_page, view, centre)
    node = np.round((centre - bent_page.truth.sheet.grid_origin_mm) / 5) * 5 + bent_page.truth.sheet.grid_origin_mm
    for step in ((0, 0), (-15, 10), (10, -15)):
        x, y = (view.from_page(bent_page.to_page((node + step + offset_mm)[None]))[0] + 0.5) / 4 - 0.5
        found = [map_coordinates(plane, [[y], [x]], order=3)[0] for plane in targets["phase"]]
        np.testing.assert_allclose(found, phase, atol=0.05)


def test_points_and_lines_peak_at_nodes_of_a_printed_grid(bent_page: MappedPage) -> None:
    sheet = replace(bent_page.truth.sheet, grid_style="full")
    page = MappedPage(bent_page.pixels, replace(bent_page.truth, sheet=sheet))
    centre = np.array(sheet.grid_origin_mm) + np.array([80.0, 60.0])
    view = sampling.random_view(page, np.random.default_rng(3), centre_mm=centre, size=320, turn_deg=2.5, zoom_sigma=0)
    targets = sampling.grid_targets(page, view, centre)
    node = (view.from_page(page.to_page(centre[None]))[0] + 0.5) / 4 - 0.5
    x, y = np.round(node).astype(int)
    window = targets["points"][0, y - 2 : y + 3, x - 2 : x + 3]
    rows, columns = np.mgrid[y - 2 : y + 3, x - 2 : x + 3]
    found = np.average(columns, weights=window), np.average(rows, weights=window)
    np.testing.assert_allclose(found, node, atol=0.05)
    assert min(targets["lines"][0, y, x], targets["lines"][1, y, x]) > 0.5


def test_a_page_without_a_grid_has_no_points(bent_page: MappedPage) -> None:
    centre = np.array([80.0, 60.0])
    view = sampling.random_view(
        bent_page, np.random.default_rng(3), centre_mm=centre, size=320, turn_deg=2.5, zoom_sigma=0.1
    )
    targets = sampling.grid_targets(bent_page, view, centre)
    assert not targets["points"].any()
    assert not targets["lines"].any()


def test_axis_ink_and_edge_lie_on_the_lead(bent_page: MappedPage) -> None:
    lead = bent_page.truth.sheet.leads[5]
    centre = np.array([lead.start_mm + 15, lead.axis_mm])
    view = sampling.random_view(
        bent_page, np.random.default_rng(3), centre_mm=centre, size=320, turn_deg=2.5, zoom_sigma=0.1
    )
    targets = sampling.grid_targets(bent_page, view, centre)
    places = {
        "axis": np.array([[x, lead.axis_mm] for x in lead.start_mm + np.arange(2.0, 30.0, 4.0)]),
        "ink": lead.line_mm[50:500:40],
        "edge": np.array([[lead.start_mm, lead.axis_mm + dy] for dy in (-3.0, 0.0, 3.0)]),
    }
    for name, mm in places.items():
        x, y = ((view.from_page(bent_page.to_page(mm)) + 0.5) / 4 - 0.5).T
        assert map_coordinates(targets[name][0], [y, x], order=1).min() > 0.3, name


def test_every_label_has_its_class_at_its_centre(bent_page: MappedPage) -> None:
    labels = bent_page.truth.sheet.labels
    assert len(labels) == 13
    for label in labels:
        centre = np.array(label.centre_mm)
        view = sampling.random_view(
            bent_page, np.random.default_rng(1), centre_mm=centre, size=256, turn_deg=2.5, zoom_sigma=0.1
        )
        classes = sampling.label_targets(bent_page, view)
        x, y = np.round((view.from_page(bent_page.to_page(centre[None]))[0] + 0.5) / 4 - 0.5).astype(int)
        assert classes[y, x] == 1 + KEYPOINT_NAMES.index(label.name)
        assert classes[2, 2] == 0


@pytest.mark.parametrize("orientation", range(8))
def test_the_geometry_of_a_turned_page_agrees_with_its_pixels(sheet: Sheet, orientation: int) -> None:
    """Two dots on one level of the paper are found in the picture; their vector gives angle and scale."""
    turn, px_per_mm, dots_mm = np.deg2rad(9), 3.0, np.array([[90.0, 70.0], [180.0, 70.0]])
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    lattice_px = px_per_mm * lattice_mm(sheet.truth.size_mm, 2.5) @ rotation + np.array([90.0, 20.0])
    page = MappedPage(np.zeros((640, 1000, 3), np.uint8), PageTruth(sheet.truth, lattice_px, 2.5, "photo", 0))
    for dot, channel in zip(page.to_page(dots_mm), (0, 2), strict=True):
        colour = tuple(255 if k == channel else 0 for k in range(3))
        cv2.circle(page.pixels, (round(dot[0]), round(dot[1])), 12, colour, -1)
    for seed in range(200):
        pixels, found, geometry = sampling.pose_sample(page, np.random.default_rng(seed), size=512)
        is_dot = [(pixels[..., k] > 200) & (pixels[..., 1] < 60) & (pixels[..., 2 - k] < 60) for k in (0, 2)]
        if found == orientation and all(mask.sum() > 50 for mask in is_dot):
            break
    first, second = (np.argwhere(mask).mean(axis=0)[::-1] for mask in is_dot)
    dx, dy = second - first
    column, row = np.floor((first + second) / 2 / 32).astype(int)
    paper, log_scale, cos4, sin4 = geometry[:, row, column]
    assert paper == 1
    assert log_scale == pytest.approx(np.log2(np.hypot(dx, dy) / 90), abs=0.02)
    angle4 = 4 * np.arctan2(dy, dx)
    np.testing.assert_allclose((cos4, sin4), (np.cos(angle4), np.sin(angle4)), atol=0.05)


def test_geometry_says_where_there_is_no_paper(sheet: Sheet) -> None:
    lattice_px = 2.0 * lattice_mm(sheet.truth.size_mm, 2.5) + 150.0
    page = MappedPage(np.zeros((700, 900, 3), np.uint8), PageTruth(sheet.truth, lattice_px, 2.5, "photo", 0))
    _, _, geometry = sampling.pose_sample(page, np.random.default_rng(0), size=512)
    paper = geometry[0] == 1
    assert 0.1 < paper.mean() < 0.6
    assert np.isfinite(geometry[1:, paper]).all()
    assert np.isnan(geometry[1:, ~paper]).all()
