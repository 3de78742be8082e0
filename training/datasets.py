"""Endless shuffled batches for each stage, cut from a folder of rendered pages; `sampling` makes the crops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from ecgstudio.stages.names import normalised_names
from training.configs import CropPlan, TraceTraining, TrainConfig
from training.folders import page_files, truth_path
from training.sampling import (
    MappedPage,
    grid_targets,
    label_targets,
    pose_sample,
    random_view,
    sample_names,
    sample_strip,
)
from training.scale_texts import sample_texts
from training.synth.truth import load_truth, upright

Rng = np.random.Generator
Batch = dict[str, torch.Tensor]
Arrays = dict[str, NDArray[np.generic]]

SHUFFLE_CROPS = 384  # crops kept for mixing pages
CROPS_PER_PAGE = {"stage0": 6, "stage1": 6, "stage2": 14}
POSES_PER_PAGE = 2
BESIDE_LEADS = 0.3  # share of stage-1 crops anywhere on or just beside the sheet: headers, edges, the table


def load_page(path: Path) -> MappedPage:
    """Read a rendered page and its truth; a page that was written turned is turned back."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError(f"{path.name}: not a readable picture")
    return MappedPage(*upright(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), load_truth(truth_path(path))))


class PageCrops(IterableDataset[Batch]):
    """Yield ready batches of one stage for ever; `seed` and the position in the stream fix everything."""

    def __init__(self, stage: str, folder: Path, *, split: str, seed: int, config: TrainConfig) -> None:
        super().__init__()
        self.folder, self.split, self.seed, self.config = folder, split, seed, config
        self._start = 0
        self._source: Callable[[Rng], Iterator[Batch]] = {
            "stage0": self._stage0, "names": self._names, "texts": self._texts, "stage1": self._stage1,
            "stage2": self._stage2,
        }[stage]  # fmt: skip

    def __iter__(self) -> Iterator[Batch]:
        info = torch.utils.data.get_worker_info()
        worker = info.id if info is not None else 0
        return self._source(np.random.default_rng((self.seed, worker, self._start)))

    def set_start(self, batch: int) -> None:
        """Begin as a fresh stream for a run that has seen `batch` batches already."""
        self._start = batch

    def _pages(self, rng: Rng) -> Iterator[MappedPage]:
        """Yield random pages for ever; the folder is read again each round, so that it may grow meanwhile."""
        while True:
            files = page_files(self.folder, self.split)
            if not files:
                raise ValueError(f"{self.folder}: no rendered pages for {self.split}")
            for index in rng.permutation(len(files))[:400]:
                yield load_page(files[index])

    def _shuffled(self, crops: Iterator[Arrays], rng: Rng, count: int) -> Iterator[list[Arrays]]:
        """Group crops into batches through a mixing buffer."""
        buffer: list[Arrays] = []
        for crop in crops:
            buffer.append(crop)
            if len(buffer) >= (max(SHUFFLE_CROPS, 8 * count) if self.split == "train" else count):
                chosen = [buffer.pop(int(rng.integers(len(buffer)))) for _ in range(count)]
                yield chosen

    def _mixed(self, rng: Rng, crops: Callable[[Rng, CropPlan], Iterator[Arrays]]) -> Iterator[Batch]:
        """Yield stacked batches of the planned kinds in their shares."""
        plans = self.config.crops
        queues = [self._shuffled(crops(rng, plan), rng, plan.batch) for plan in plans]
        shares = np.array([plan.share for plan in plans])
        while True:
            yield _stack(next(queues[int(rng.choice(len(plans), p=shares / shares.sum()))]))

    def _stage2(self, rng: Rng) -> Iterator[Batch]:
        for batch in self._mixed(rng, self._strips):
            strips = batch["strips"].float() / 255
            strips = (strips - strips[:, :1].mean(dim=(2, 3), keepdim=True)) / 0.25
            yield {**batch, "strips": strips, "segmentation": batch["segmentation"].long()}

    def _strips(self, rng: Rng, plan: CropPlan) -> Iterator[Arrays]:
        shape = (plan.height, plan.width)
        crowded = self.config.crowded if isinstance(self.config, TraceTraining) else 0.0
        for page in self._pages(rng):
            for _ in range(CROPS_PER_PAGE["stage2"]):
                s = sample_strip(page, rng, shape=shape, crowded=crowded)
                if np.isfinite(s.height).sum() < 16:
                    continue
                crop: Arrays = {
                    "strips": s.strip, "height": s.height, "slope": s.slope, "presence": s.presence,
                    "boundary": s.boundary, "segmentation": s.segmentation,
                }  # fmt: skip
                if rng.random() < self.config.flip_x:
                    crop = {name: value[..., ::-1] for name, value in crop.items()}
                if rng.random() < self.config.flip_y:
                    crop["strips"] = crop["strips"][:, ::-1]
                    crop["segmentation"] = crop["segmentation"][::-1]
                    crop["height"] = shape[0] - 1 - crop["height"]
                crop["strips"] = _tone(crop["strips"], rng)
                yield {name: np.ascontiguousarray(value) for name, value in crop.items()}

    def _stage1(self, rng: Rng) -> Iterator[Batch]:
        for batch in self._mixed(rng, self._grids):
            yield {**{k: v.float() for k, v in batch.items()}, "image": batch["image"].float() / 255 - 0.5}

    def _grids(self, rng: Rng, plan: CropPlan) -> Iterator[Arrays]:
        for page in self._pages(rng):
            sheet = page.truth.sheet
            for _ in range(CROPS_PER_PAGE["stage1"]):
                lead = sheet.leads[int(rng.integers(len(sheet.leads)))]
                x_mm = rng.uniform(lead.start_mm - 15, lead.end_mm + 15)
                centre = np.array([x_mm, lead.axis_mm + rng.normal(0, 18)])
                if rng.random() < BESIDE_LEADS:
                    centre = rng.uniform(-20, np.array(sheet.size_mm) + 20)
                view = random_view(page, rng, centre_mm=centre, size=plan.width, turn_deg=2.5, zoom_sigma=0.10)
                image = _colour(view.pixels(page.pixels), rng)
                yield {"image": np.moveaxis(image, -1, 0), **grid_targets(page, view, centre)}

    def _names(self, rng: Rng) -> Iterator[Batch]:
        for batch in self._mixed(rng, self._name_crops):
            yield {"crops": torch.from_numpy(normalised_names(batch["crops"].numpy())), "name": batch["name"].long()}

    def _name_crops(self, rng: Rng, plan: CropPlan) -> Iterator[Arrays]:
        for page in self._pages(rng):
            for crop, name in sample_names(page, rng):
                yield {"crops": _tone(crop, rng), "name": np.array(name)}

    def _texts(self, rng: Rng) -> Iterator[Batch]:
        for batch in self._mixed(rng, self._text_crops):
            yield {"crops": torch.from_numpy(normalised_names(batch["crops"].numpy())), "text": batch["text"].long()}

    def _text_crops(self, rng: Rng, plan: CropPlan) -> Iterator[Arrays]:
        for page in self._pages(rng):
            for crop, text in sample_texts(page, rng):
                yield {"crops": _tone(crop, rng), "text": np.array(text)}

    def _stage0(self, rng: Rng) -> Iterator[Batch]:
        for batch in self._mixed(rng, self._keypoints):
            yield {**batch, "image": batch["image"].float() / 255 - 0.5, "labels": batch["labels"].long()}

    def _keypoints(self, rng: Rng, plan: CropPlan) -> Iterator[Arrays]:
        """Yield crops for reading labels (the first plan) or whole turned pages (any other plan)."""
        reads = plan == self.config.crops[0]
        for page in self._pages(rng):
            for _ in range(CROPS_PER_PAGE["stage0"] if reads else POSES_PER_PAGE):
                yield _label_crop(page, rng, plan.width) if reads else _pose_crop(page, rng, plan.width)


def make_dataset(stage: str, folder: Path, *, split: str, seed: int, config: TrainConfig) -> PageCrops:
    """Return the batches of a stage ("stage0", "stage1", "stage2") from a folder that `training synth` wrote."""
    return PageCrops(stage, folder, split=split, seed=seed, config=config)


def _label_crop(page: MappedPage, rng: Rng, size: int) -> Arrays:
    sheet = page.truth.sheet
    if sheet.labels and rng.random() < 0.8:
        spot = sheet.labels[int(rng.integers(len(sheet.labels)))].centre_mm
    else:
        spot = tuple(rng.uniform(0, 1, 2) * np.array(sheet.size_mm))
    centre = np.array(spot) + rng.uniform(-0.4, 0.4, 2) * size / 5
    view = random_view(page, rng, centre_mm=centre, size=size, turn_deg=2.5, zoom_sigma=0.12)
    image = _colour(view.pixels(page.pixels), rng)
    return {
        "image": np.moveaxis(image, -1, 0), "labels": label_targets(page, view),
        "orientation": np.array(-1), "geometry": np.full((4, size // 32, size // 32), np.nan, np.float32),
    }  # fmt: skip


def _pose_crop(page: MappedPage, rng: Rng, size: int) -> Arrays:
    pixels, orientation, geometry = pose_sample(page, rng, size=size)
    return {
        "image": np.moveaxis(_colour(pixels, rng), -1, 0), "orientation": np.array(orientation),
        "labels": np.full((size // 4, size // 4), 255, np.uint8), "geometry": geometry,
    }  # fmt: skip


def _stack(crops: list[Arrays]) -> Batch:
    return {name: torch.from_numpy(np.stack([crop[name] for crop in crops])) for name in crops[0]}


def _tone(pixels: NDArray[np.generic], rng: Rng) -> NDArray[np.uint8]:
    """Change contrast and gamma a little (all channels alike)."""
    gamma, gain = np.exp(rng.normal(0, 0.15)), rng.uniform(0.75, 1.0)
    table = np.clip(255 * gain * (np.arange(256) / 255) ** gamma + rng.uniform(0, 20), 0, 255).astype(np.uint8)
    return table[pixels.astype(np.uint8)]


def _colour(pixels: NDArray[np.uint8], rng: Rng) -> NDArray[np.uint8]:
    """Change colours: grey, swapped channels, or tone."""
    out = _tone(pixels, rng)
    kind = rng.random()
    if kind < 0.3:
        grey = cv2.cvtColor(out, cv2.COLOR_RGB2GRAY)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.ascontiguousarray(out[..., rng.permutation(3)]) if kind < 0.5 else out
