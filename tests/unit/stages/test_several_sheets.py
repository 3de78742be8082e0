"""Two ECGs in one picture: a sheet alone is never parted, two always are, and between them."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgstudio.core.arrays import F64
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LAYOUTS, LEADS, Layout
from ecgstudio.core.page import Page, PageId
from ecgstudio.stages import stage0_keypoints
from ecgstudio.stages.contract import Failed, StageError
from ecgstudio.stages.parting import Gap, clipped, contains, cut_out, emptiest, outline_of, parted
from ecgstudio.stages.several_sheets import (
    HINT,
    PROOF,
    SUSPICION,
    find_gap,
    find_sheets,
    only_sheet,
    separate,
    tells_of_several,
)
from tests.fake_stages import NoNetworks

TWELVE_LEADS = [layout for layout in LAYOUTS.values() if len(layout.leads) == len(LEADS)]
RUNTIME = NoNetworks()
MARGIN_MM = 15.0


@dataclass(frozen=True)
class Sheet:
    """Where the names of a sheet stand, [N, 2] in mm from its upper left corner, and how large it is."""

    leads: tuple[str, ...]
    xy_mm: F64
    size_mm: tuple[float, float]


def sheet(layout: Layout, *, row_mm: float = 28.0, column_mm: float = 62.0) -> Sheet:
    """Print a layout."""
    rows = [[(lead, MARGIN_MM + i * column_mm) for i, lead in enumerate(row)] for row in layout.all_rows]
    placed = [(lead, x, MARGIN_MM + i * row_mm) for i, row in enumerate(rows) for lead, x in row]
    size = 2 * MARGIN_MM + layout.columns * column_mm, 2 * MARGIN_MM + len(rows) * row_mm
    return Sheet(tuple(lead for lead, _, _ in placed), np.array([(x, y) for _, x, y in placed]), size)


def seen(*sheets: tuple[Sheet, tuple[float, float]], px_per_mm: float = 5.0, angle: float = 0.0, mirrored: bool = False,
         noise: list[tuple[str, float, float]] | None = None) -> Keypoints:  # fmt: skip
    """Return the names of sheets that lie at these places (mm), on a picture that lies as the angle says."""
    leads = [lead for one, _ in sheets for lead in one.leads] + [lead for lead, _, _ in noise or ()]
    mm = np.concatenate(
        [one.xy_mm + at for one, at in sheets] + [np.array([(x, y) for _, x, y in noise or ()]).reshape(-1, 2)]
    )
    right = np.array([np.cos(angle), np.sin(angle)])
    down = np.array([-right[1], right[0]]) * (-1 if mirrored else 1)
    xy = 3000 + px_per_mm * (mm[:, :1] * right + mm[:, 1:] * down)
    orientation = 4 * mirrored
    return Keypoints(tuple(leads), xy, np.full(len(leads), 0.9), orientation, 1.0, px_per_mm, angle, mirrored)


layouts = st.sampled_from(TWELVE_LEADS)
poses = st.fixed_dictionaries(
    {
        "px_per_mm": st.floats(2.0, 16.0),
        "angle": st.floats(-np.pi, np.pi),
        "mirrored": st.booleans(),
    }
)
lone_strokes = st.lists(
    st.tuples(st.just("I"), st.floats(0, 250), st.floats(0, 150)), max_size=6
)  # what beats and ticks are taken for


@given(layouts, poses, lone_strokes, st.floats(12, 40), st.floats(40, 130), st.data())
def test_a_sheet_alone_is_never_parted(
    layout: Layout, pose: dict[str, float], noise: list[tuple[str, float, float]], row: float, column: float,
    data: st.DataObject,
) -> None:  # fmt: skip
    one = sheet(layout, row_mm=row, column_mm=column)
    wrong = data.draw(st.tuples(st.sampled_from(LEADS), st.floats(0, 250), st.floats(0, 150)))  # one name is misread
    keypoints = seen((one, (0, 0)), noise=[*noise, wrong], **pose)  # type: ignore[arg-type]
    assert find_gap(keypoints, PROOF) is None


@given(layouts, layouts, poses, st.booleans(), st.floats(0, 40), st.data())
def test_two_sheets_are_parted_between_their_names(
    first: Layout, second: Layout, pose: dict[str, float], beside: bool, apart: float, data: st.DataObject
) -> None:
    a, b = (sheet(layout) for layout in (first, second))
    missed = data.draw(st.sampled_from([lead for lead in LEADS if lead.startswith("V")]))
    kept = [i for i, lead in enumerate(b.leads) if lead != missed]
    b = replace(b, leads=tuple(b.leads[i] for i in kept), xy_mm=b.xy_mm[kept])
    at = (a.size_mm[0] + apart, 0.0) if beside else (0.0, a.size_mm[1] + apart)
    keypoints = seen((a, (0, 0)), (b, at), **pose)  # type: ignore[arg-type]
    gap = find_gap(keypoints, PROOF)
    assert gap is not None
    along = keypoints.xy @ gap.normal
    assert along[: len(a.leads)].max() < gap.low < gap.high < along[len(a.leads) :].min()


def test_between_sheets_of_other_columns_the_cut_stays_between_them() -> None:
    """A column of I, II and III is the first of its sheet, however wide the columns are."""
    a, b = sheet(LAYOUTS["3x4+1"], column_mm=31.0), sheet(LAYOUTS["3x4+1"], column_mm=125.0)
    keypoints = seen((a, (0, 0)), (b, (a.size_mm[0], 0.0)))
    gap = find_gap(keypoints, PROOF)
    assert gap is not None
    assert gap.high < keypoints.xy[len(a.leads) :, 0].min()


def test_paper_that_lies_nearly_straight_is_cut_along_the_pixels() -> None:
    a = sheet(LAYOUTS["3x4+1"])
    gap = find_gap(seen((a, (0, 0)), (a, (0.0, a.size_mm[1])), angle=0.02), PROOF)
    assert gap is not None
    assert gap.normal.tolist() == [0.0, 1.0]


# --- looking again -------------------------------------------------------------------------------------------


def picture(*shape: int) -> Page:
    """Return a white page."""
    return Page(PageId("a" * 64, 0), np.full((*shape, 3), 255, np.uint8), 150.0, "two.png")


def nearby(monkeypatch: pytest.MonkeyPatch, keypoints: Keypoints) -> list[tuple[int, int]]:
    """Let stage 0 see in a part what is there; return the sizes of the parts that it is shown."""
    sizes: list[tuple[int, int]] = []

    def detect(page: Page, **_: object) -> Keypoints:
        assert page.part is not None
        sizes.append((page.width, page.height))
        inside = np.flatnonzero(contains(page.part.outline, keypoints.xy))
        names = tuple(keypoints.names[i] for i in inside)
        xy = keypoints.xy[inside] - page.part.box[:2]
        return replace(keypoints, names=names, xy=xy, confidence=keypoints.confidence[inside])

    monkeypatch.setattr(stage0_keypoints, "detect_keypoints", detect)
    return sizes


def placed(*sheets: tuple[Sheet, tuple[float, float]]) -> Keypoints:
    keypoints = seen(*sheets)
    return replace(keypoints, xy=keypoints.xy - 3000)


def test_an_ordinary_page_asks_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    keypoints = placed((sheet(LAYOUTS["3x4+3"]), (0, 0)))
    sizes = nearby(monkeypatch, keypoints)
    page = picture(900, 1400)
    [outline] = find_sheets(page, keypoints, runtime=RUNTIME)
    assert outline.tolist() == outline_of(page).tolist()
    assert separate(page, keypoints, runtime=RUNTIME) == (page,)
    assert only_sheet(page, keypoints, runtime=RUNTIME) is keypoints
    assert sizes == []


@pytest.mark.parametrize("places", [[(0, 0), (0, 1)], [(0, 0), (1, 0), (2, 0)], [(0, 0), (1, 0), (0, 1), (1, 1)]])
def test_every_ecg_of_a_picture_becomes_a_page(monkeypatch: pytest.MonkeyPatch, places: list[tuple[int, int]]) -> None:
    one = sheet(LAYOUTS["3x4+1"])
    keypoints = placed(*((one, (x * one.size_mm[0], y * one.size_mm[1])) for x, y in places))
    nearby(monkeypatch, keypoints)
    columns, rows = (max(place) + 1 for place in zip(*places, strict=True))
    page = picture(int(rows * one.size_mm[1] * 5), int(columns * one.size_mm[0] * 5))
    parts = separate(page, keypoints, runtime=RUNTIME)
    assert [part.source for part in parts] == [
        f"two.png, ECG {number} of {len(places)}" for number in range(1, len(places) + 1)
    ]
    assert sum(part.width * part.height for part in parts) == page.width * page.height
    for part in parts:
        assert part.part is not None
        assert part.part.picture == page.id
        inside = contains(part.part.outline, keypoints.xy)
        assert sorted(np.array(keypoints.names)[inside]) == sorted(one.leads)
    with pytest.raises(StageError, match=f"{len(places)} ECGs are in this picture") as error:
        only_sheet(page, keypoints, runtime=RUNTIME)
    assert tells_of_several(Failed("grid", error.value.reason, error.value.hint))
    assert error.value.hint == HINT


def test_a_table_that_lists_the_leads_is_no_ecg(monkeypatch: pytest.MonkeyPatch) -> None:
    one = sheet(LAYOUTS["3x4+1"])
    table = Sheet(LEADS, np.array([(15.0, 5.0 * i) for i in range(12)]), (60.0, 70.0))
    keypoints = placed((one, (0, 0)), (table, (0, one.size_mm[1])))
    nearby(monkeypatch, keypoints)
    assert find_gap(keypoints, SUSPICION) is not None
    assert len(find_sheets(picture(1200, 1400), keypoints, runtime=RUNTIME)) == 1


def test_names_that_are_not_there_from_nearby_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    one = sheet(LAYOUTS["3x4+1"])
    keypoints = placed((one, (0, 0)), (one, (0, one.size_mm[1])))
    nearby(monkeypatch, placed((one, (0, 0))))
    assert len(find_sheets(picture(1500, 1400), keypoints, runtime=RUNTIME)) == 1


def test_a_half_without_paper_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    one = sheet(LAYOUTS["3x4+1"])

    def detect(page: Page, **_: object) -> Keypoints:
        raise StageError("keypoints", "nothing on this page looks like ECG paper")

    monkeypatch.setattr(stage0_keypoints, "detect_keypoints", detect)
    keypoints = placed((one, (0, 0)), (one, (0, one.size_mm[1])))
    assert len(find_sheets(picture(1500, 1400), keypoints, runtime=RUNTIME)) == 1


# --- where to cut --------------------------------------------------------------------------------------------


def ruled(height: int, width: int, *, paper: int = 255) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """Return paper with a line each millimetre at 4 px/mm."""
    pixels = np.full((height, width, 3), paper, np.uint8)
    pixels[::4] = pixels[:, ::4] = paper - 55
    return pixels


def page_of(pixels: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]) -> Page:
    return Page(PageId("b" * 64, 0), pixels, None, "x.png")


def test_the_cut_goes_over_the_desk_between_two_sheets() -> None:
    pixels = ruled(400, 900)
    pixels[:, 430:470] = (90, 70, 50)
    gap = Gap(np.array([1.0, 0.0]), 200.0, 700.0, np.empty(0))
    page = page_of(pixels)
    assert 430 < emptiest(page, outline_of(page), gap, px_per_mm=4.0) < 470


def test_the_cut_goes_along_the_edge_where_two_papers_touch() -> None:
    pixels = np.concatenate([ruled(300, 400), ruled(300, 400, paper=215)])
    gap = Gap(np.array([0.0, 1.0]), 150.0, 520.0, np.empty(0))
    page = page_of(pixels)
    assert emptiest(page, outline_of(page), gap, px_per_mm=4.0) == pytest.approx(299.5, abs=12)  # 3 mm


def test_the_cut_keeps_off_traces_and_doubtful_names() -> None:
    pixels = ruled(400, 900)
    for y in (100, 200, 300):
        pixels[y : y + 3, :420] = pixels[y : y + 3, 520:] = 0
    page = page_of(pixels)
    gap = Gap(np.array([1.0, 0.0]), 200.0, 700.0, np.empty(0))
    assert 420 < emptiest(page, outline_of(page), gap, px_per_mm=4.0) < 520
    gap = replace(gap, avoid=np.array([440.0, 460.0]))
    assert 480 <= emptiest(page, outline_of(page), gap, px_per_mm=4.0) < 520


@given(st.floats(-np.pi, np.pi), st.floats(-60, 60))
def test_a_line_parts_an_outline_without_loss(angle: float, shift: float) -> None:
    outline = outline_of(picture(80, 120))
    normal = np.array([np.cos(angle), np.sin(angle)])
    at = float(np.array([59.5, 39.5]) @ normal + shift)
    before, after = parted(outline, normal, at)
    areas = [area(side) for side in (before, after)]
    assert sum(areas) == pytest.approx(80 * 120)
    if len(before) > 2:
        assert (before @ normal).max() <= at + 1e-6
    assert clipped(outline, normal, -1e6).shape == (0, 2)


def area(outline: F64) -> float:
    if len(outline) < 3:
        return 0.0
    x, y = outline.T
    return abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2


def test_a_slanting_part_is_grey_beyond_its_outline_and_keeps_its_own_pixels() -> None:
    page = picture(100, 100)
    lower, _ = parted(outline_of(page), np.array([np.sin(0.2), np.cos(0.2)]), 60.0)
    part = cut_out(page, lower)
    assert set(np.unique(part.pixels)) == {128, 255}
    assert (part.pixels == 255).all(axis=2).sum() == pytest.approx(area(lower), rel=0.02)
    assert part.part is not None
    assert part.part.box == (0, 0, 100, part.height)


def test_a_part_of_a_part_knows_its_place_in_the_picture() -> None:
    page = picture(100, 200)
    right = cut_out(page, parted(outline_of(page), np.array([1.0, 0.0]), 99.5)[1], source="right")
    lower = cut_out(right, parted(outline_of(right), np.array([0.0, 1.0]), 39.5)[1])
    assert lower.part is not None
    assert (lower.part.picture, lower.part.source) == (page.id, "two.png")
    assert lower.part.box == (100, 40, 200, 100)
    assert (lower.width, lower.height, lower.dpi) == (100, 60, 150.0)
