"""Strips hold the paper around a level line, pixel by pixel where they say."""

from __future__ import annotations

import numpy as np
import pytest

from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.page import Page, PageId
from ecgstudio.stages.strips import STRIP_PX_PER_MM, cut_strip, normalised

PX_PER_MM = 10.0


def page_with_dot(x_mm: float, y_mm: float) -> Page:
    """Return 60 x 40 mm of grey paper with one dark round spot."""
    y, x = np.mgrid[:400, :600]
    away = np.hypot((x + 0.5) / PX_PER_MM - x_mm, (y + 0.5) / PX_PER_MM - y_mm)
    spot = 180 * np.exp(-0.5 * (away / 0.4) ** 2)
    rgb = np.stack([220 - spot, 200 - spot, 240 - spot], axis=2)
    return Page(PageId("1" * 64, 0), np.round(rgb).astype(np.uint8), None, "dot.png")


def flat_grid() -> GridFit:
    x, y = np.meshgrid(np.arange(13) * 5.0, np.arange(9) * 5.0)
    nodes = np.stack([x, y], axis=-1) * PX_PER_MM - 0.5
    return GridFit(nodes, PaperScale(25.0, 10.0, "test"), 1.0)


@pytest.mark.parametrize("at_mm", [(30.0, 20.0), (25.3, 17.7), (21.0, 26.0)])
def test_a_spot_of_ink_lies_where_the_strip_says(at_mm: tuple[float, float]) -> None:
    page = page_with_dot(*at_mm)
    strip = cut_strip(page, flat_grid(), x0_mm=12.0, centre_mm=20.0, half_px=80, width_px=288)
    dark = strip[0].max() - strip[0]
    y, x = np.mgrid[: dark.shape[0], : dark.shape[1]]
    centre = np.array([(dark * x).sum(), (dark * y).sum()]) / dark.sum()
    expected = (np.array(at_mm) - [12.0, 20.0]) * STRIP_PX_PER_MM - 0.5 + [0, 80]
    np.testing.assert_allclose(centre, expected, atol=0.05)


def test_a_strip_holds_the_brightest_and_the_darkest_channel() -> None:
    page = page_with_dot(5.0, 5.0)
    strip = cut_strip(page, flat_grid(), x0_mm=20.0, centre_mm=25.0, half_px=40, width_px=64)
    assert strip.shape == (2, 80, 64)
    assert strip.dtype == np.float32
    np.testing.assert_allclose(strip[0] * 255, 240, atol=0.6)
    np.testing.assert_allclose(strip[1] * 255, 200, atol=0.6)


def test_a_strip_beyond_the_page_goes_on_with_its_border() -> None:
    strip = cut_strip(page_with_dot(30.0, 20.0), flat_grid(), x0_mm=-30.0, centre_mm=20.0, half_px=40, width_px=64)
    np.testing.assert_allclose(strip[1] * 255, 200, atol=0.6)


@pytest.mark.parametrize("darker", [0.0, 0.3])
def test_the_paper_s_brightness_does_not_matter(darker: float) -> None:
    strips = np.random.default_rng(0).uniform(0.5, 0.9, (3, 2, 16, 32)).astype(np.float32)
    np.testing.assert_allclose(normalised(strips - np.float32(darker)), normalised(strips), atol=1e-5)


def test_each_strip_is_normalised_about_its_own_brightest_channel() -> None:
    strips = np.random.default_rng(0).uniform(0, 1, (3, 2, 16, 32)).astype(np.float32)
    strips[1] *= 0.5
    same = normalised(strips)
    np.testing.assert_allclose(same[:, 0].mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(same[:, 0] - same[:, 1], (strips[:, 0] - strips[:, 1]) / 0.25, atol=1e-5)
