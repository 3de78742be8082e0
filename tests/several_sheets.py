"""Pictures of several sheets for tests: fake stages see every one of them."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page
from ecgstudio.stages.contract import Status
from tests import fake_stages
from tests.e2e.command_line import draw

SHEET_PX = 560  # of a sheet for fake stages


def detect_on_each(page: Page, *, status: Status, **_: object) -> Keypoints:
    """Find the names of every 3x4 sheet of a picture, as far as the page shows it."""
    status.checkpoint(0.5, "looking")
    start = 0 if page.part is None else page.part.box[0]
    one = fake_stages.detect_keypoints(page, status=status)
    lefts = [left - start for left in range(0, start + page.width, SHEET_PX)]
    shown = [left for left in lefts if left + one.xy[:, 0].min() >= 0 and left + one.xy[:, 0].max() < page.width]
    xy = np.concatenate([np.empty((0, 2)), *(one.xy + np.array([left, 0.0]) for left in shown)])
    return replace(one, names=one.names * len(shown), xy=xy, confidence=np.full(len(xy), 0.9))


def beside(path: Path, *shades: int) -> Path:
    """Write a picture of sheets side by side, one of each shade."""
    one = [cv2.imread(str(draw(path.parent / "one" / "x.png", shade=shade))) for shade in shades]
    assert cv2.imwrite(str(path), np.hstack(one))
    return path
