"""Crops for the text reader say in their middle what their class says, and no scale text where that is none."""

from __future__ import annotations

import numpy as np

from ecgstudio.core.leads import SCALE_TEXTS
from ecgstudio.stages.names import TEXT_SHAPE
from tests.page_truth import mapped
from tests.synth_page import synth_page
from training.scale_texts import draw_line, print_line, sample_texts

BLANK = np.full(TEXT_SHAPE, 240, np.uint8)


def kinds_of(crops: list[tuple[np.ndarray, int]]) -> list[int]:
    assert all(crop.shape == TEXT_SHAPE and crop.dtype == np.uint8 for crop, _ in crops)
    return [kind for _, kind in crops]


def test_every_class_is_drawn_about_as_often() -> None:
    rng = np.random.default_rng(0)
    made = [print_line(BLANK, draw_line(rng), rng) for _ in range(600)]
    counts = np.bincount(kinds_of([crop for crop in made if crop is not None]), minlength=1 + len(SCALE_TEXTS))
    assert counts[1:].min() > 30
    assert counts[1:].max() < 2.5 * counts[1:].min()
    assert counts[0] > counts[1:].max()


def test_what_is_drawn_can_be_seen() -> None:
    rng = np.random.default_rng(1)
    made = [print_line(BLANK, draw_line(rng), rng) for _ in range(200)]
    assert np.mean([np.ptp(crop) > 10 for crop, kind in filter(None, made) if kind]) > 0.95


def test_a_page_gives_its_own_texts_and_drawn_ones() -> None:
    page = mapped(synth_page("3x4"))
    kinds = kinds_of(list(sample_texts(page, np.random.default_rng(2))))
    assert set(kinds) == set(range(1 + len(SCALE_TEXTS)))
    assert len(kinds) > 50
