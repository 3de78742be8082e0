"""The shipped sample is what `training.synth.sample` makes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ecgstudio.commands.doctor import read_truth
from ecgstudio.paths import sample_folder
from training.synth.page import Sheet
from training.synth.sample import photograph_clearly, sample_sheet

LARGEST_FILE = 600_000


@pytest.fixture(scope="module")
def sheet() -> Sheet:
    return sample_sheet()


def test_the_shipped_truth_is_what_the_sheet_prints(sheet: Sheet) -> None:
    mv, fs = read_truth(sample_folder() / "truth.csv")
    assert fs == pytest.approx(sheet.truth.record_fs)
    np.testing.assert_allclose(mv, sheet.truth.record_mv, atol=2e-4)


def test_the_shipped_page_is_the_photo_of_the_sheet(sheet: Sheet) -> None:
    path = sample_folder() / "page.png"
    shipped = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    made = photograph_clearly(sheet)
    assert path.stat().st_size < LARGEST_FILE
    assert shipped.shape == made.shape
    assert np.abs(shipped.astype(int) - made).mean() < 6  # 64 colours are left
