"""Where one looks: page pixels to the screen and back, and pictures of what is seen."""

import math

import numpy as np
import pytest

from ecgstudio.gui.camera import Camera
from ecgstudio.gui.canvas import Canvas
from ecgstudio.gui.page_picture import PagePicture
from ecgstudio.gui.scrolling import scroll, whole_shift

TURNED = Camera((800, 600), (400.0, 300.0), 1.7, 0.4, False)


@pytest.mark.parametrize("camera", [Camera((80, 60)), TURNED, TURNED.turned(-2.0, mirrored=True)])
def test_a_place_on_the_screen_is_found_again_on_the_page(camera: Camera) -> None:
    places = np.random.default_rng(0).normal(size=(50, 2)) * 900
    assert np.allclose(camera.to_page(camera.to_screen(places)), places)


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_papers_x_axis_points_to_the_right_and_its_y_axis_down(mirrored: bool) -> None:
    camera = Camera((100, 100), angle_rad=0.7, mirrored=mirrored)
    across = np.array([math.cos(0.7), math.sin(0.7)])
    down = np.array([-across[1], across[0]]) * (-1 if mirrored else 1)
    assert np.allclose(camera.to_screen(across) - camera.to_screen([0, 0]), [1, 0])
    assert np.allclose(camera.to_screen(down) - camera.to_screen([0, 0]), [0, 1])


def test_zooming_keeps_the_place_under_the_pointer() -> None:
    nearer = TURNED.zoomed(3.0, at=(120, 470))
    assert np.allclose(nearer.to_page((120, 470)), TURNED.to_page((120, 470)))
    assert nearer.zoom == pytest.approx(5.1)


def test_the_page_follows_the_hand_that_pans() -> None:
    assert np.allclose(TURNED.panned((13, -7)).to_screen([50, 60]), TURNED.to_screen([50, 60]) + np.array([13, -7]))


def test_a_fitted_page_lies_wholly_in_the_view() -> None:
    camera = TURNED.fitted((3000, 2000))
    corners = camera.to_screen([[0, 0], [2999, 0], [2999, 1999], [0, 1999]])
    assert (corners >= 0).all()
    assert (corners <= camera.size).all()


def painted(picture: PagePicture, camera: Camera, *, ground: str = "#000000") -> np.ndarray:
    """Return what the camera sees as red, green and blue."""
    canvas = Canvas(*camera.size)
    picture.paint(canvas, camera, ratio=1.0, ground=ground)
    return canvas.picture[..., 2::-1]


def page(width: int = 400, height: int = 300) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_at_zoom_1_the_picture_is_the_page_pixel_for_pixel() -> None:
    pixels = page()
    camera = Camera((400, 300), (199.5, 149.5), 1.0)
    assert np.array_equal(painted(PagePicture.of_page(pixels), camera), pixels)


def test_a_turned_page_is_turned_in_the_picture() -> None:
    pixels = page()
    camera = Camera((300, 400), (199.5, 149.5), 1.0, math.pi / 2)
    seen = painted(PagePicture.of_page(pixels), camera)
    assert np.abs(seen.astype(int) - np.rot90(pixels)).max() <= 1


def test_a_page_from_afar_is_averaged_not_decimated() -> None:
    pixels = np.zeros((512, 512, 3), np.uint8)
    pixels[:, ::2] = 200
    camera = Camera((60, 60), (255.5, 255.5), 0.1)
    seen = painted(PagePicture.of_page(pixels), camera)
    assert np.abs(seen[20:40, 20:40].astype(int) - 100).max() <= 3


def test_the_pyramid_does_not_copy_the_page() -> None:
    pixels = page()
    assert PagePicture.of_page(pixels).levels[0] is pixels


def test_a_small_preview_lies_where_the_page_will_lie() -> None:
    pixels = np.repeat(np.repeat(page(50, 40), 8, axis=0), 8, axis=1)
    small = PagePicture.of_preview(pixels[::8, ::8].copy(), (400, 320))
    camera = Camera((400, 320), (199.5, 159.5), 1.0)
    seen = painted(small, camera)
    assert np.array_equal(seen[4::8, 4::8], pixels[4::8, 4::8])


@pytest.mark.parametrize("shift", [(30, 0), (0, -25), (-40, 60), (399, 1)])
def test_a_scrolled_picture_is_the_picture_drawn_anew(shift: tuple[int, int]) -> None:
    picture = PagePicture.of_page(page(900, 700))
    before = Camera((400, 300), (450.0, 350.0), 1.3, 0.2)
    after = before.panned(shift)

    def draw(camera: Camera) -> np.ndarray:
        part = Canvas(*camera.size)
        picture.paint(part, camera, ratio=1.0, ground="#090909")
        return part.picture

    assert whole_shift(before, after, ratio=1.0) == shift
    canvas = Canvas(*before.size)
    picture.paint(canvas, before, ratio=1.0, ground="#090909")
    scroll(canvas, shift, after, ratio=1.0, draw=draw)
    off = np.abs(canvas.picture.astype(int) - draw(after))
    assert np.mean(off > 8) < 0.001  # OpenCV rounds positions to 1/32 px, which differs between parts of a picture


def test_parts_of_a_pixel_and_other_zooms_are_no_scrolling() -> None:
    assert whole_shift(TURNED, TURNED.panned((0.5, 0)), ratio=1.0) is None
    assert whole_shift(TURNED, TURNED.panned((0.5, 0)), ratio=2.0) == (1, 0)
    assert whole_shift(TURNED, TURNED.zoomed(1.1, at=(0, 0)), ratio=1.0) is None
    assert whole_shift(TURNED, TURNED.panned((900, 0)), ratio=1.0) is None
