"""Stage 0 finds how a page lies and every printed name, whichever way the page was turned."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LEADS
from ecgstudio.core.page import Page, PageId
from ecgstudio.stages import stage0_keypoints
from ecgstudio.stages.contract import LABEL_CLASSES, NULL_STATUS, FloatMap, Image, KeypointMaps, Runtime, StageError
from ecgstudio.stages.grid_search import seen_px_per_mm
from ecgstudio.stages.line_scale import LineScale
from ecgstudio.stages.settings import KeypointSettings
from ecgstudio.stages.stage0_keypoints import (
    LEAD_CLASSES,
    MAX_READ_PX,
    POSE_SIDE_PX,
    READ_CELL_PX,
    Pose,
    _seen_labels,
    detect_keypoints,
    keypoints_in_pose,
)
from tests.synth_page import BlindRuntime, SynthPage, TruthRuntime, synth_page, true_keypoints


def found_on(page: Page, runtime: Runtime) -> Keypoints:
    return detect_keypoints(page, runtime=runtime, settings=KeypointSettings(), status=NULL_STATUS)


def misses_px(found: Keypoints, synth: SynthPage) -> list[float]:
    """Return for every true name the distance to the nearest found one of that name."""
    true = true_keypoints(synth)
    return [
        float(np.hypot(*(found.of(name) - xy).T).min()) if len(found.of(name)) else np.inf
        for name, xy in zip(true.names, true.xy, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Unsure(TruthRuntime):
    """A runtime that, of a whole page, tells the orientation only if it is one of those it recognises."""

    recognised: tuple[int, ...] = (0,)

    def keypoints(self, image: Image) -> KeypointMaps:
        """Blur the orientation of views that are not recognised."""
        maps = TruthRuntime.keypoints(self, image)
        if int(maps.orientation.argmax()) in self.recognised:
            return maps
        return KeypointMaps(maps.labels, np.full(8, 1 / 8, np.float32), maps.geometry)


@dataclass(frozen=True, slots=True)
class Deceived(TruthRuntime):
    """A runtime that is fairly sure of a wrong orientation and reads names only on an upright view."""

    def keypoints(self, image: Image) -> KeypointMaps:
        """Turn the orientation by half a turn, but not wholly; hide the names from views that are not upright."""
        maps = TruthRuntime.keypoints(self, image)
        seen = int(maps.orientation.argmax())
        guess = np.full(8, 0.01, np.float32)
        guess[(seen + 2) % 4 + seen // 4 * 4], guess[seen] = 0.5, 0.44
        labels = np.array(maps.labels)
        if seen != 0:
            labels[:] = 0
            labels[0] = 1
        return KeypointMaps(labels, guess, maps.geometry)


@pytest.mark.parametrize("orientation", range(8))
def test_a_page_is_recognised_however_it_lies(orientation: int) -> None:
    synth = synth_page("3x4+1", orientation=orientation, width_mm=80.0)
    found, true = found_on(synth.page, TruthRuntime(synth)), true_keypoints(synth)
    assert (found.orientation, found.mirrored) == (orientation, orientation >= 4)
    assert found.orientation_confidence > 0.9
    assert found.px_per_mm == pytest.approx(6.0, rel=0.02)
    assert np.cos(found.angle_rad - true.angle_rad) > 0.999


@pytest.mark.parametrize("orientation", [0, 1, 6])
def test_every_name_and_marker_is_found_at_its_place(orientation: int) -> None:
    synth = synth_page("3x4+1", orientation=orientation, width_mm=80.0)
    found = found_on(synth.page, TruthRuntime(synth))
    assert sorted(found.names) == sorted(true_keypoints(synth).names)
    assert max(misses_px(found, synth)) < 3.6  # 0.6 mm
    assert found.confidence.min() > 0.9


@pytest.mark.parametrize("orientation", [0, 2, 3, 5])
def test_an_unsure_network_looks_from_another_side(orientation: int) -> None:
    synth = synth_page("3x4", orientation=orientation, width_mm=80.0)
    recognised = (0,) if orientation < 4 else (4,)
    found = found_on(synth.page, Unsure(synth, recognised=recognised))
    assert found.orientation == orientation
    assert sorted(found.names) == sorted(true_keypoints(synth).names)


def test_of_two_likely_poses_the_one_with_legible_names_is_taken() -> None:
    synth = synth_page("3x4", orientation=1, width_mm=80.0)
    found = found_on(synth.page, Deceived(synth))
    assert found.orientation == 1
    assert set(LEADS) <= set(found.names)


@dataclass(frozen=True, slots=True)
class Clueless(TruthRuntime):
    """A runtime that cannot tell which way up a page is, but reads names only on an upright view."""

    def keypoints(self, image: Image) -> KeypointMaps:
        """Flatten the orientation; hide the names from views that are not upright."""
        maps = TruthRuntime.keypoints(self, image)
        labels = np.array(maps.labels)
        if int(maps.orientation.argmax()) != 0:
            labels[:] = 0
            labels[0] = 1
        return KeypointMaps(labels, np.full(8, 1 / 8, np.float32), maps.geometry)


@pytest.mark.parametrize("orientation", range(8))
def test_legible_names_alone_prove_the_orientation(orientation: int) -> None:
    synth = synth_page("3x4", orientation=orientation)
    found = found_on(synth.page, Clueless(synth))
    assert (found.orientation, found.mirrored) == (orientation, orientation >= 4)
    assert found.orientation_confidence > 0.8


@dataclass(frozen=True, slots=True)
class Nameless(TruthRuntime):
    """A runtime that sees no names, so that every way up is tried, and counts how often scale texts are read."""

    asked: list[int] = field(default_factory=list)

    def keypoints(self, image: Image) -> KeypointMaps:
        """Hide the names."""
        maps = TruthRuntime.keypoints(self, image)
        labels = np.array(maps.labels)
        labels[LEAD_CLASSES] = 0
        return KeypointMaps(labels, np.full(8, 1 / 8, np.float32), maps.geometry)

    def texts(self, crops: FloatMap) -> FloatMap:
        """Count the calls."""
        self.asked.append(len(crops))
        return TruthRuntime.texts(self, crops)


def test_printed_scales_are_read_once_however_many_ways_up_are_tried() -> None:
    runtime = Nameless(synth_page("3x4", width_mm=80.0))
    found = found_on(runtime.synth.page, runtime)
    assert len(runtime.asked) == 1
    assert not set(LEADS) & set(found.names)
    assert {"speed25", "gain10"} <= set(found.names)


def test_scattered_cells_are_no_text() -> None:
    synth = synth_page("3x4", width_mm=80.0)

    class Speckled(TruthRuntime):
        def keypoints(self, image: Image) -> KeypointMaps:
            maps = TruthRuntime.keypoints(self, image)
            labels = np.array(maps.labels)
            labels[:, 3, 3::7] = 0
            labels[LABEL_CLASSES.index("gain20"), 3, 3::7] = 1
            return KeypointMaps(labels, maps.orientation, maps.geometry)

    assert "gain20" not in found_on(synth.page, Speckled(synth)).names


@pytest.mark.parametrize("orientation", [0, 3, 6])
def test_names_are_read_in_the_pose_that_is_known(orientation: int) -> None:
    synth = synth_page(orientation=orientation)
    truth = true_keypoints(synth)
    pose = Pose(orientation, 1.0, truth.px_per_mm, truth.angle_rad, mirrored=truth.mirrored)
    found = keypoints_in_pose(synth.page, pose, runtime=TruthRuntime(synth))
    assert sorted(found.names) == sorted(truth.names)
    assert max(misses_px(found, synth)) < 12
    assert (found.orientation, found.mirrored) == (orientation, truth.mirrored)


def test_a_page_without_names_still_has_a_pose() -> None:
    blank = Page(PageId("2" * 64, 0), np.full((600, 900, 3), 240, np.uint8), None, "blank.png")
    found = found_on(blank, BlindRuntime(paper=0.9))
    assert found.names == ()
    assert found.px_per_mm == pytest.approx(3.0 * 900 / POSE_SIDE_PX, rel=0.02)


@pytest.mark.parametrize("shape", [(600, 900), (1, 1), (40, 3000)])
def test_a_picture_without_paper_is_refused(shape: tuple[int, int]) -> None:
    blank = Page(PageId("2" * 64, 0), np.full((*shape, 3), 240, np.uint8), None, "blank.png")
    with pytest.raises(StageError, match="nothing on this page looks like ECG paper") as error:
        found_on(blank, BlindRuntime())
    assert error.value.hint


def test_a_text_that_the_reader_takes_for_no_name_is_dropped() -> None:
    synth = synth_page("3x4", width_mm=80.0)

    class Rejecting(TruthRuntime):
        def names(self, crops: FloatMap) -> FloatMap:
            return BlindRuntime().names(crops)

    assert not set(found_on(synth.page, Rejecting(synth)).names) & set(LEADS)


# --- a sheet that is a small part of the picture ---------------------------------------------------------------


class FarSighted(BlindRuntime):
    """Sees white sheets 280 mm wide, upright; takes one that fills less than half of a picture for much larger."""

    def keypoints(self, image: Image) -> KeypointMaps:
        """Tell the scale by the sheet's width, too large from afar."""
        height, width = image.shape[:2]
        cells = (image.min(axis=2) > 200).reshape(height // 32, 32, width // 32, 32).mean(axis=(1, 3))
        sheet_px = float((image.min(axis=2) > 200).sum(axis=1).max())
        geometry = np.zeros((4, height // 32, width // 32), np.float32)
        geometry[0], geometry[2] = cells, 1.0
        geometry[1] = np.log2(max(sheet_px, 1.0) / 280) + (0.6 if sheet_px < 0.5 * width else 0.0)
        labels = np.zeros((len(LABEL_CLASSES), height // 4, width // 4), np.float32)
        labels[0] = 1
        return KeypointMaps(labels, np.eye(8, dtype=np.float32)[0], geometry)


@pytest.mark.parametrize("corner", [(0, 0), (300, 900), (1000, 1400)])
def test_a_small_sheet_is_looked_at_from_nearby(corner: tuple[int, int]) -> None:
    pixels = np.full((1800, 2400, 3), 60, np.uint8)
    top, left = corner
    pixels[top : top + 700, left : left + 1000] = 250
    page = Page(PageId("a" * 64, 0), pixels, None, "photo.jpg")
    found = found_on(page, FarSighted())
    assert found.px_per_mm == pytest.approx(1000 / 280, rel=0.05)


def test_scraps_beside_the_sheet_do_not_count() -> None:
    pixels = np.full((1800, 2400, 3), 60, np.uint8)
    pixels[200:900, 300:1300] = 250
    pixels[1600:1700, 2200:2380] = 250
    page = Page(PageId("b" * 64, 0), pixels, None, "photo.jpg")
    assert found_on(page, FarSighted()).px_per_mm == pytest.approx(1000 / 280, rel=0.05)


@dataclass(frozen=True, slots=True)
class Misjudging(TruthRuntime):
    """A runtime that guesses the scale of a page wrongly and reads names only near the right one."""

    factor: float = 0.75

    def keypoints(self, image: Image) -> KeypointMaps:
        """Change the scale of whole pages by the factor; hide the names from views at another scale."""
        maps = TruthRuntime.keypoints(self, image)
        geometry, labels = np.array(maps.geometry), np.array(maps.labels)
        px_per_mm = float(2.0 ** np.median(geometry[1]))
        if max(image.shape[:2]) <= POSE_SIDE_PX:
            geometry[1] += np.log2(self.factor)
        elif not 0.95 < px_per_mm / 5.0 < 1.05:
            labels[:] = 0
            labels[0] = 1
        return KeypointMaps(labels, maps.orientation, geometry)


@pytest.mark.parametrize("factor", [0.78, 1.22])
def test_names_of_an_unusual_size_are_read_at_the_scale_of_the_grid(factor: float) -> None:
    synth = synth_page("3x4", width_mm=130.0)
    found = found_on(synth.page, Misjudging(synth, factor=factor))
    assert found.px_per_mm == pytest.approx(true_keypoints(synth).px_per_mm, rel=0.03)
    assert max(misses_px(found, synth)) < 3.0


@pytest.mark.parametrize("off", [None, 1.0, 0.5])
def test_twice_the_scale_is_mended_where_names_prove_it(off: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines say nothing, hint at the right scale, or hint at half of it: where names are legible decides."""
    synth = synth_page("3x4", width_mm=130.0)
    right = true_keypoints(synth).px_per_mm
    hint = None if off is None else LineScale(right * off, sure=False)
    monkeypatch.setattr(stage0_keypoints, "scale_by_lines", lambda *_, **__: hint)
    monkeypatch.setattr(stage0_keypoints, "seen_px_per_mm", lambda *_, **__: None)
    assert found_on(synth.page, Misjudging(synth, factor=2.0)).px_per_mm == pytest.approx(right, rel=0.04)


@dataclass(frozen=True, slots=True)
class SmallPrint(TruthRuntime):
    """A runtime that reads names only from as near as a sheet of half the scale is seen, and markers from usual."""

    def keypoints(self, image: Image) -> KeypointMaps:
        """Hide what cannot be read from where a view is taken."""
        maps = TruthRuntime.keypoints(self, image)
        labels, names = np.array(maps.labels), slice(1, 1 + len(LEADS))
        near = float(2.0 ** np.median(maps.geometry[1])) > 7.0
        for hidden in (slice(1 + len(LEADS), None),) if near else (names,):
            labels[0] += labels[hidden].sum(axis=0)
            labels[hidden] = 0
        return KeypointMaps(labels, maps.orientation, maps.geometry)


@pytest.mark.parametrize("confirmed", [True, False])
def test_small_names_change_no_scale_that_lines_confirm(confirmed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    synth = synth_page("3x4", width_mm=130.0)
    true = true_keypoints(synth)
    if not confirmed:
        monkeypatch.setattr(stage0_keypoints, "lines_confirm", lambda *_, **__: False)
    monkeypatch.setattr(stage0_keypoints, "seen_px_per_mm", lambda *_, **__: None)
    found = found_on(synth.page, SmallPrint(synth, name_zoom=2.0))
    assert found.px_per_mm == pytest.approx(true.px_per_mm * (1.0 if confirmed else 0.5), rel=0.04)
    assert {*found.names} == ({*true.names} if confirmed else {*true.names} & {*LEADS})


def test_a_hint_of_another_scale_at_which_names_read_no_better_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    synth = synth_page("3x4", width_mm=130.0)
    right = true_keypoints(synth).px_per_mm
    monkeypatch.setattr(stage0_keypoints, "scale_by_lines", lambda *_, **__: LineScale(right * 0.6, sure=False))
    assert found_on(synth.page, TruthRuntime(synth)).px_per_mm == pytest.approx(right, rel=0.03)


def test_without_a_grid_the_first_guess_of_the_scale_stays() -> None:
    blank = Page(PageId("3" * 64, 0), np.full((600, 900, 3), 240, np.uint8), None, "blank.png")
    assert seen_px_per_mm(blank.pixels, px_per_mm=4.0, angle_rad=0.0, mirrored=False, runtime=BlindRuntime()) is None


@pytest.mark.parametrize("shape", [(640, 960), (2304, 320), (3200, 2336), (5312, 320), (320, 4512)])
def test_a_very_large_sheet_is_seen_in_tiles_as_if_in_one(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)

    class Local(BlindRuntime):
        def keypoints(self, image: Image) -> KeypointMaps:
            assert max(image.shape) <= MAX_READ_PX
            maps = BlindRuntime.keypoints(self, image)
            labels = np.zeros((len(LABEL_CLASSES), *(side // READ_CELL_PX for side in image.shape[:2])), np.float32)
            labels[1] = image[::READ_CELL_PX, ::READ_CELL_PX, 0]
            return KeypointMaps(labels, maps.orientation, maps.geometry)

    seen = _seen_labels(image, Local())
    assert np.array_equal(seen[1], image[::READ_CELL_PX, ::READ_CELL_PX, 0])
