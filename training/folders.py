"""Where a folder keeps its pages and their truths: all flat in one, or as `train|val|test/{images,annotations,series}`.

A flat folder holds pictures with their truths (.npz) beside them; every 25th page is for validation. A tree says by its
folders which page is for what: pictures in `images`, truths in `annotations`, printed records (.csv) in `series`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

VALIDATION_SHARE: Final = 0.04  # of a flat folder
PICTURES: Final = (".jpg", ".jpeg", ".png")
SPLITS: Final = ("train", "val", "test")
IMAGES, ANNOTATIONS, SERIES = "images", "annotations", "series"


def is_tree(folder: Path) -> bool:
    """Tell whether a folder is a tree of splits."""
    return any((folder / split / IMAGES).is_dir() for split in SPLITS)


def pictures(folder: Path) -> list[Path]:
    """Return the pictures that lie in a folder, sorted by name; none if there is no such folder."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES) if folder.is_dir() else []


def page_files(folder: Path, split: str) -> list[Path]:
    """Return the pictures of rendered pages, those with a truth, that belong to a split, sorted by name.

    A flat folder has the splits "train" and "val" only.
    """
    if is_tree(folder):
        return [p for p in pictures(folder / split / IMAGES) if truth_path(p).exists()]
    found = [p for p in pictures(folder) if truth_path(p).exists()]
    every = max(2, round(1 / VALIDATION_SHARE))
    return [p for i, p in enumerate(found) if split in ("train", "val") and (i % every == 0) == (split == "val")]


def truth_path(picture: Path) -> Path:
    """Return where the truth of a rendered page lies."""
    return _beside(picture, ANNOTATIONS, ".npz")


def series_path(picture: Path) -> Path:
    """Return where the record that is printed on a page lies."""
    return _beside(picture, SERIES, ".csv")


def _beside(picture: Path, kind: str, suffix: str) -> Path:
    folder = picture.parent
    in_tree = folder.name == IMAGES and folder.parent.name in SPLITS
    return (folder.parent / kind if in_tree else folder) / f"{picture.stem}{suffix}"
