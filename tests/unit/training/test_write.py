"""`python -m training synth` writes the same pages again from the same seed, each once, with its truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from ecgstudio.core.geometry import to_upright_pixels
from ecgstudio.errors import UserError
from training import cli
from training.signals import Record, open_source
from training.synth.sheet_map import SheetMap
from training.synth.style import LAYOUTS
from training.synth.truth import load_truth
from training.synth.write import KIND_SHARES, PagePlan, synthesize_page, write_page


def pixels_of(picture: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(picture), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def test_the_same_seed_gives_the_same_page(record: Record) -> None:
    first, second = (
        synthesize_page(record.mv, record.fs, rng=np.random.default_rng(6), kind="photo", orient=True, px_per_mm=4.0)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.pixels, second.pixels)
    np.testing.assert_array_equal(first.truth.lattice_px, second.truth.lattice_px)
    assert first.truth.orientation == second.truth.orientation


@pytest.mark.parametrize("kind", KIND_SHARES)
def test_the_truths_ink_is_darker_than_what_is_beside_it(record: Record, kind: str) -> None:
    page = synthesize_page(record.mv, record.fs, rng=np.random.default_rng(12), kind=kind, layout="3x4", px_per_mm=6.0)
    sheet_map = SheetMap(page.truth.lattice_px, page.truth.lattice_step_mm)
    grey = cv2.GaussianBlur(page.pixels.mean(axis=2).astype(np.float32), (0, 0), 0.7)
    lines = np.concatenate([lead.line_mm[50:-50:5] for lead in page.truth.sheet.leads])

    def seen(offset_mm: float) -> np.ndarray:
        xy = sheet_map.to_page(lines + np.array([0.0, offset_mm])).astype(np.float32)
        return cv2.remap(grey, xy[None, :, 0], xy[None, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]

    on = np.median(seen(0.0))
    assert on < np.median(seen(-1.2)) - 15
    assert on < np.median(seen(1.2)) - 15


def test_an_oriented_page_is_the_upright_page_turned(record: Record) -> None:
    upright, turned = (
        synthesize_page(record.mv, record.fs, rng=np.random.default_rng(4), kind="scan", orient=orient, px_per_mm=3.0)
        for orient in (False, True)
    )
    assert upright.truth.orientation == 0
    assert turned.truth.orientation != 0
    np.testing.assert_array_equal(to_upright_pixels(turned.pixels, turned.truth.orientation), upright.pixels)


def test_pages_without_jpeg_are_stored_without_loss(tmp_path: Path) -> None:
    source, suffixes = open_source("synthetic"), set()
    for index in range(6):
        picture = write_page(PagePlan(tmp_path, kind="render", seed=2), index)
        rng = np.random.default_rng((2, index))
        record = source[int(rng.integers(len(source)))]
        page = synthesize_page(record.mv, record.fs, rng=rng, kind="render")
        assert picture.suffix == (".png" if page.lossless else ".jpg")
        assert np.array_equal(pixels_of(picture), page.pixels) == page.lossless
        suffixes.add(picture.suffix)
    assert suffixes == {".png", ".jpg"}


def test_the_truth_lies_beside_its_picture(tmp_path: Path) -> None:
    picture = write_page(PagePlan(tmp_path, kind="scan", orient=True), 0)
    lattice_px = load_truth(picture.with_suffix(".npz")).lattice_px
    inside = ((lattice_px > -1) & (lattice_px < pixels_of(picture).shape[1::-1])).all(axis=-1)
    assert inside.mean() > 0.7


def test_a_page_that_exists_is_kept(tmp_path: Path) -> None:
    plan = PagePlan(tmp_path, kind="photo")
    picture = write_page(plan, 0)
    picture.write_bytes(b"mine")
    assert write_page(plan, 0) == picture
    assert picture.read_bytes() == b"mine"


def test_index_and_seed_fix_a_page(tmp_path: Path) -> None:
    plan = PagePlan(tmp_path / "a", seed=5)
    write_page(plan, 0)
    late = write_page(plan, 1)
    alone = write_page(replace(plan, folder=tmp_path / "b"), 1)
    other = write_page(replace(plan, folder=tmp_path / "b", seed=6), 1)
    assert late.read_bytes() == alone.read_bytes()
    assert late.with_suffix(".npz").read_bytes() == alone.with_suffix(".npz").read_bytes()
    assert other.read_bytes() != alone.read_bytes()


def test_the_command_writes_the_pages_asked_for(tmp_path: Path) -> None:
    options = ["--kind", "render", "--layout", "6x2", "--count", "2", "--first", "7", "--seed", "1", "--jobs", "1"]
    assert cli.main(["synth", "--out", str(tmp_path), *options]) == 0
    truths = sorted(tmp_path.glob("*.npz"))
    assert [path.stem for path in truths] == ["page-001-000007", "page-001-000008"]
    assert {load_truth(path).sheet.layout for path in truths} == {"6x2"}


def test_two_processes_write_what_one_would(tmp_path: Path) -> None:
    for jobs in ("1", "2"):
        options = ["--kind", "render", "--count", "2", "--jobs", jobs]
        assert cli.main(["synth", "--out", str(tmp_path / jobs), *options]) == 0
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / jobs).iterdir()} for jobs in ("1", "2"))
    assert one == two


def test_a_tree_keeps_pictures_truths_and_printed_records_apart(tmp_path: Path) -> None:
    options = ["--tree", "--split", "val", "--kind", "render", "--count", "1", "--jobs", "1"]
    assert cli.main(["synth", "--out", str(tmp_path), *options]) == 0
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    stem = "page-000-000000"
    picture = next(name for name in found if name.startswith("val/images/"))
    assert found == {picture, f"val/annotations/{stem}.npz", f"val/series/{stem}.csv"}
    truth = load_truth(tmp_path / "val" / "annotations" / f"{stem}.npz").sheet
    rows = (tmp_path / "val" / "series" / f"{stem}.csv").read_text("utf-8").splitlines()
    lead_ii = [float(row.split(",")[2] or "nan") for row in rows[1:]]
    assert rows[0] == "time_s,I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6"
    np.testing.assert_allclose(lead_ii, truth.record_mv[1], atol=1e-4)


def test_a_balanced_set_shows_every_kind_with_every_layout(tmp_path: Path) -> None:
    plan = PagePlan(tmp_path, balanced=True)
    pairs = {(plan.kind_of(index), plan.layout_of(index)) for index in range(55)}
    assert pairs == {(kind, layout) for kind in KIND_SHARES for layout in LAYOUTS}
    chosen = replace(plan, kind="scan")
    assert {chosen.kind_of(index) for index in range(5)} == {"scan"}


def test_a_balanced_page_is_what_its_turn_says(tmp_path: Path) -> None:
    options = ["--balanced", "--first", "55", "--count", "1", "--jobs", "1"]
    assert cli.main(["synth", "--out", str(tmp_path), *options]) == 0
    [truth] = [load_truth(path) for path in tmp_path.glob("*.npz")]
    assert (truth.kind, truth.sheet.layout) == (next(iter(KIND_SHARES)), next(iter(LAYOUTS)))


@pytest.mark.logs("what the command refuses")
def test_pages_to_measure_with_are_kept_apart_from_those_to_train_on(tmp_path: Path) -> None:
    options = ["--split", "test", "--kind", "render", "--layout", "few", "--count", "1", "--jobs", "1"]
    assert cli.main(["synth", "--out", str(tmp_path), *options]) == 1
    assert not any(tmp_path.iterdir())
    assert cli.main(["synth", "--out", str(tmp_path), "--tree", *options]) == 0
    assert {split.name for split in tmp_path.iterdir()} == {"test"}


@pytest.mark.parametrize("records", ["missing", "empty"])
def test_records_that_are_not_there_are_named(tmp_path: Path, records: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=records):
        write_page(PagePlan(tmp_path / "out", records=str(tmp_path / records)), 0)
    assert not (tmp_path / "out").exists()
