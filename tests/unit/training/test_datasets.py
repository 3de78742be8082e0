"""The data sets give the batches that the losses of each stage expect."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from training import datasets
from training.configs import TrainConfig, config_for
from training.datasets import load_page, make_dataset, page_files
from training.sampling import MappedPage
from training.synth.truth import load_truth
from training.synth.write import PagePlan, encode_picture, write_page

PAGES = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of oriented pages of every kind; the first is for validation."""
    out = tmp_path_factory.mktemp("pages")
    for index, kind in enumerate(("render", "scan", "photo", "damage")):
        write_page(PagePlan(out, kind=kind, orient=True), index)
    return out


def small(stage: str) -> TrainConfig:
    crops = {"stage0": "[[128,128,2,0.5],[160,160,2,0.5]]", "stage1": "[[128,128,2]]", "stage2": "[[96,128,3]]"} | {
        "texts": "[[32,160,8]]"
    }
    return config_for(stage, overrides=[f"crops={crops[stage]}"])


def batches(stage: str, folder: Path, count: int, *, split: str = "val", seed: int = 0) -> list[datasets.Batch]:
    return list(islice(make_dataset(stage, folder, split=split, seed=seed, config=small(stage)), count))


def shapes(batch: datasets.Batch) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    return {name: (tuple(value.shape), value.dtype) for name, value in batch.items()}


def test_stage_0_mixes_label_crops_and_turned_pages(folder: Path) -> None:
    found = batches("stage0", folder, 12)
    readable = [b for b in found if b["image"].shape[-1] == 128]
    poses = [b for b in found if b["image"].shape[-1] == 160]
    assert len(readable) + len(poses) == 12
    for side, some in ((128, readable), (160, poses)):
        assert shapes(some[0]) == {
            "image": ((2, 3, side, side), torch.float32),
            "labels": ((2, side // 4, side // 4), torch.int64),
            "orientation": ((2,), torch.int64),
            "geometry": ((2, 4, side // 32, side // 32), torch.float32),
        }
    assert all((b["orientation"] == -1).all() and b["geometry"].isnan().all() for b in readable)
    assert all((b["orientation"] >= 0).all() and (b["labels"] == 255).all() for b in poses)
    assert any((b["labels"] > 0).any() for b in readable)


def test_stage_1_gives_views_with_dense_targets(folder: Path) -> None:
    batch = batches("stage1", folder, 1)[0]
    cells = (32, 32)
    assert shapes(batch) == {
        "image": ((2, 3, 128, 128), torch.float32),
        "phase": ((2, 4, *cells), torch.float32),
        "points": ((2, 1, *cells), torch.float32),
        "lines": ((2, 2, *cells), torch.float32),
        "axis": ((2, 1, *cells), torch.float32),
        "ink": ((2, 1, *cells), torch.float32),
        "edge": ((2, 1, *cells), torch.float32),
    }
    assert batch["image"].abs().max() <= 0.5


def test_stage_2_gives_normalised_strips_with_their_heights(folder: Path) -> None:
    batch = batches("stage2", folder, 1)[0]
    assert shapes(batch) == {
        "strips": ((3, 2, 96, 128), torch.float32),
        "height": ((3, 256), torch.float32),
        "slope": ((3, 256), torch.float32),
        "presence": ((3, 256), torch.float32),
        "boundary": ((3, 256), torch.float32),
        "segmentation": ((3, 24, 64), torch.int64),
    }
    assert batch["strips"][:, 0].mean(dim=(1, 2)).abs().max() < 1e-4
    known = batch["height"][batch["height"].isfinite()]
    assert ((known >= 0) & (known <= 95)).all()


def test_texts_gives_normalised_crops_with_their_classes(folder: Path) -> None:
    batch = batches("texts", folder, 1)[0]
    assert shapes(batch) == {"crops": ((8, 1, 32, 160), torch.float32), "text": ((8,), torch.int64)}
    assert batch["crops"].mean(dim=(1, 2, 3)).abs().max() < 1e-4


@pytest.mark.parametrize("stage", ["stage0", "stage1", "stage2"])
def test_a_seed_fixes_the_stream(folder: Path, stage: str) -> None:
    first, again, other = (batches(stage, folder, 2, seed=seed)[1] for seed in (1, 1, 2))
    pixels = "strips" if stage == "stage2" else "image"
    assert torch.equal(first[pixels], again[pixels])
    assert first[pixels].shape != other[pixels].shape or not torch.equal(first[pixels], other[pixels])


def test_training_and_validation_share_no_page(folder: Path) -> None:
    train, val = page_files(folder, "train"), page_files(folder, "val")
    assert len(val) == 1
    assert len(train) == PAGES - 1
    assert not set(train) & set(val)


def test_training_draws_from_several_pages_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def load_and_note(path: Path) -> MappedPage:
        opened.append(path)
        return load_page(path)

    monkeypatch.setattr(datasets, "SHUFFLE_CROPS", 30)
    monkeypatch.setattr(datasets, "load_page", load_and_note)
    batches("stage2", folder, 1, split="train")
    assert set(opened) == set(page_files(folder, "train"))


def test_an_oriented_page_is_read_upright(folder: Path) -> None:
    for picture in page_files(folder, "train"):
        page = load_page(picture)
        size_mm = np.array(page.truth.sheet.size_mm)
        jacobian = page.jacobian(size_mm / 2)
        assert page.truth.orientation == 0
        assert jacobian[0, 0] > 0
        assert jacobian[1, 1] > 0
        assert abs(jacobian[0, 1]) < jacobian[0, 0]
    assert any(load_truth(p.with_suffix(".npz")).orientation for p in page_files(folder, "train"))


@pytest.mark.parametrize("flip", ["flip_x", "flip_y"])
def test_flipped_strips_keep_their_heights(folder: Path, flip: str) -> None:
    """The row of a clean page's ink is where the height says, also when the strip is mirrored."""
    overrides = ["crops=[[320,384,4]]", "flip_x=0.0", "flip_y=0.0", f"{flip}=1.0"]
    stream = make_dataset("stage2", folder, split="val", seed=0, config=config_for("stage2", overrides=overrides))
    errors = []
    for batch in islice(stream, 3):
        for strip, height, slope in zip(batch["strips"][:, 1], batch["height"], batch["slope"], strict=True):
            for column in np.flatnonzero(height.isfinite() & (slope < 0.2))[::2]:
                row = round(float(height[column]))
                window = strip[max(row - 6, 0) : row + 7, column // 2]
                errors.append(int(window.argmin()) + max(row - 6, 0) - float(height[column]))
    assert len(errors) > 300
    assert abs(np.median(errors)) < 1


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no rendered pages"):
        batches("stage1", tmp_path, 1)


def test_a_picture_that_is_none_is_named(folder: Path, tmp_path: Path) -> None:
    truth = page_files(folder, "val")[0].with_suffix(".npz").read_bytes()
    (tmp_path / "broken.npz").write_bytes(truth)
    (tmp_path / "broken.jpg").write_bytes(encode_picture(np.zeros((8, 8, 3), np.uint8), suffix=".jpg")[:40])
    with pytest.raises(ValueError, match="broken"):
        load_page(tmp_path / "broken.jpg")


def test_a_tree_of_splits_gives_the_pages_of_each(folder: Path, tmp_path: Path) -> None:
    for split, index in (("train", 0), ("train", 1), ("val", 2)):
        write_page(PagePlan(tmp_path, kind="render", split=split, tree=True), index)
    assert [p.relative_to(tmp_path).as_posix().partition(".")[0] for p in page_files(tmp_path, "train")] == [
        "train/images/page-000-000000",
        "train/images/page-000-000001",
    ]
    assert [p.stem for p in page_files(tmp_path, "val")] == ["page-000-000002"]
    assert page_files(tmp_path, "test") == []
    [batch] = batches("stage2", tmp_path, 1)
    assert torch.isfinite(batch["height"]).any()


def test_pictures_of_every_spelling_are_found(tmp_path: Path) -> None:
    for name in ("a.jpeg", "b.JPG", "c.png", "d.gif"):
        (tmp_path / name).touch()
        (tmp_path / name).with_suffix(".npz").touch()
    assert sorted(p.name for split in ("train", "val") for p in page_files(tmp_path, split)) == [
        "a.jpeg", "b.JPG", "c.png",
    ]  # fmt: skip
