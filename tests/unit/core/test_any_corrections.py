"""Any corrections, however odd: applying them gives an answer or says that they do not fit, and never breaks down."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings

from ecgstudio.core.corrections import Corrections, apply_grid, apply_keypoints, apply_traces
from ecgstudio.core.page import Page, PageId
from ecgstudio.stages.contract import NULL_STATUS
from tests import fake_stages
from tests.corrections_strategy import corrections

PAGE = Page(PageId("a" * 64, 0), np.tile(np.arange(220, dtype=np.uint8)[:, None, None], (1, 300, 3)), None, "page")
KEYPOINTS = fake_stages.detect_keypoints(PAGE, status=NULL_STATUS)
GRID = fake_stages.fit_grid(PAGE, KEYPOINTS, status=NULL_STATUS)
TRACES = fake_stages.read_traces(PAGE, KEYPOINTS, GRID, status=NULL_STATUS)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # places at 1e308 px overflow; the answer is checked, not the way
@settings(deadline=None)
@given(corrections)
def test_any_corrections_are_applied_or_refused(value: Corrections) -> None:
    grid = GRID
    for keypoints in (KEYPOINTS, None):
        with contextlib.suppress(ValueError):
            apply_keypoints(keypoints, value.keypoints)
    for found in (GRID, None):
        with contextlib.suppress(ValueError):
            grid = apply_grid(found, value.grid)
    for traces in (TRACES, None):
        for lattice in (GRID, grid):
            with contextlib.suppress(ValueError):
                apply_traces(traces, value.traces, grid=lattice)
