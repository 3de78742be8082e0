import hashlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium
import pytest
from PIL import Image

from ecgstudio.io.images import count_pages, iter_pages, read_page

Pixels = npt.NDArray[np.uint8]
EXIF_ORIENTATION = 0x0112


def assert_same_picture(found: Pixels, expected: Pixels, *, tolerance: int = 40) -> None:
    """Compare the middles of the four quarters: lossy formats ring at the edges."""
    assert found.shape == expected.shape
    h, w = expected.shape[:2]
    for y in (h // 4, 3 * h // 4):
        for x in (w // 4, 3 * w // 4):
            np.testing.assert_allclose(found[y, x].astype(int), expected[y, x].astype(int), atol=tolerance)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.tif", "A.JPEG", "wrong-suffix.png"])
def test_a_picture_is_read_from_every_raster_format(tmp_path: Path, picture: Pixels, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(picture).save(path, "JPEG" if name.startswith("wrong") else None)
    (page,) = iter_pages(path)
    assert_same_picture(page.pixels, picture)
    assert page.source == name
    assert (page.id.sha256, page.id.index) == (hashlib.sha256(path.read_bytes()).hexdigest(), 0)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg"])
def test_every_page_of_a_tiff_is_read_once_and_in_order(tmp_path: Path, picture: Pixels, compression: str) -> None:
    path = tmp_path / "pages.tif"
    pages = [Image.fromarray(np.roll(picture, 80 * turn, axis=1)) for turn in range(2)]
    pages.append(Image.fromarray(picture[:, :110]))
    pages[0].save(path, save_all=True, append_images=pages[1:], compression=compression)
    found = list(iter_pages(path))
    assert count_pages(path) == len(found) == 3
    for page, expected in zip(found, pages, strict=True):
        assert_same_picture(page.pixels, np.asarray(expected))
    assert [page.id.index for page in found] == [0, 1, 2]
    assert found[2].source == "pages.tif, page 3 of 3"
    np.testing.assert_array_equal(read_page(path, 1).pixels, found[1].pixels)


def test_a_thumbnail_in_a_tiff_is_no_page(tmp_path: Path, picture: Pixels) -> None:
    path = tmp_path / "scan.tif"
    thumbnail = Image.fromarray(picture[::2, ::2])
    thumbnail.encoderinfo = {"tiffinfo": {254: 1}}
    Image.fromarray(picture).save(path, save_all=True, append_images=[thumbnail])
    assert [page.pixels.shape for page in iter_pages(path)] == [picture.shape]


@pytest.mark.parametrize("compression", ["group3", "group4"])
def test_a_black_and_white_scan_is_read(tmp_path: Path, picture: Pixels, compression: str) -> None:
    path = tmp_path / "fax.tif"
    black = picture[..., 0] < 100
    Image.fromarray(~black).save(path, compression=compression)
    np.testing.assert_array_equal(read_page(path, 0).pixels[..., 1], np.where(black, 0, 255))


def test_a_fax_gets_square_pixels(tmp_path: Path) -> None:
    path = tmp_path / "fax.tif"
    Image.new("1", (1728, 600), 1).save(path, dpi=(204, 98), compression="group3")
    page = read_page(path, 0)
    assert page.pixels.shape == (round(600 * 204 / 98), 1728, 3)
    assert page.dpi == pytest.approx(204, abs=0.1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_a_photo_is_turned_as_its_camera_was_held(
    tmp_path: Path, picture: Pixels, orientation: int, suffix: str
) -> None:
    def stored_as(upright: Pixels) -> Pixels:
        """What a camera stores so that the EXIF orientation shows it upright again (EXIF 2.3, 4.6.4)."""
        if orientation >= 5:
            upright = upright.swapaxes(0, 1)
        flip = {2: "x", 3: "xy", 4: "y", 6: "y", 7: "xy", 8: "x"}.get(orientation, "")
        return upright[:: -1 if "y" in flip else 1, :: -1 if "x" in flip else 1]

    path = tmp_path / f"photo{suffix}"
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    Image.fromarray(np.ascontiguousarray(stored_as(picture))).save(path, exif=exif)
    assert_same_picture(read_page(path, 0).pixels, picture)


def test_a_broken_exif_block_does_not_cost_the_page(tmp_path: Path, picture: Pixels) -> None:
    path = tmp_path / "photo.jpg"
    Image.fromarray(picture).save(path, exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff\0\0")
    assert_same_picture(read_page(path, 0).pixels, picture)


def test_the_second_picture_of_a_phones_jpeg_is_no_page(tmp_path: Path, picture: Pixels) -> None:
    path = tmp_path / "portrait.jpg"
    depth = Image.fromarray(picture[..., 0])
    Image.fromarray(picture).save(path, "MPO", save_all=True, append_images=[depth])
    assert count_pages(path) == 1
    assert_same_picture(read_page(path, 0).pixels, picture)


@pytest.mark.parametrize("dpi", [150, 200, 600])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_the_resolution_of_a_scan_is_known(tmp_path: Path, picture: Pixels, dpi: int, suffix: str) -> None:
    path = tmp_path / f"scan{suffix}"
    Image.fromarray(picture).save(path, dpi=(dpi, dpi))
    assert read_page(path, 0).dpi == pytest.approx(dpi, abs=0.1)


@pytest.mark.parametrize("dpi", [1, 72, 96])
def test_a_placeholder_is_no_resolution(tmp_path: Path, picture: Pixels, dpi: int) -> None:
    path = tmp_path / "screen.png"
    Image.fromarray(picture).save(path, dpi=(dpi, dpi))
    assert read_page(path, 0).dpi is None


# --- kinds of pixels -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_is_read_in_its_colours(tmp_path: Path, picture: Pixels, suffix: str) -> None:
    path = tmp_path / f"print{suffix}"
    Image.fromarray(picture).convert("CMYK").save(path)
    assert_same_picture(read_page(path, 0).pixels, picture)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [12, 16])
def test_sixteen_bit_grey_is_read_in_its_range(tmp_path: Path, suffix: str, bits: int) -> None:
    path = tmp_path / f"scan{suffix}"
    grey = np.tile(np.linspace(0, 2**bits - 1, 256).round().astype(np.uint16), (120, 1))
    Image.fromarray(grey).save(path)
    np.testing.assert_allclose(read_page(path, 0).pixels[60, :, 1], np.arange(256), atol=1)


def test_sixteen_bit_colour_is_read(tmp_path: Path, picture: Pixels) -> None:
    cv2 = pytest.importorskip("cv2")
    for suffix in (".png", ".tif"):
        path = tmp_path / f"scan{suffix}"
        cv2.imwrite(str(path), picture[..., ::-1].astype(np.uint16) * 257)
        np.testing.assert_array_equal(read_page(path, 0).pixels, picture)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "palette", "keyed"])
def test_what_is_transparent_is_white_paper(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "screen.png"
    rgba = np.zeros((120, 160, 4), np.uint8)
    rgba[:60] = (0, 0, 0, 255)
    image = Image.fromarray(rgba)
    match mode:
        case "RGBA" | "LA":
            image.convert(mode).save(path)
        case "palette":
            colours = Image.fromarray((rgba[..., 3] == 0).astype(np.uint8), "L").convert("P")
            colours.putpalette([0, 0, 0, 9, 9, 9])
            colours.save(path, transparency=1)
        case "keyed":
            rgb = np.where(rgba[..., 3:] == 0, 77, 0).astype(np.uint8).repeat(3, axis=2)
            Image.fromarray(rgb).save(path, transparency=(77, 77, 77))
    pixels = read_page(path, 0).pixels
    assert (pixels[:60] == 0).all()
    assert (pixels[60:] == 255).all()


def test_half_transparent_is_half_white(tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    Image.new("RGBA", (120, 120), (0, 0, 0, 128)).save(path)
    assert (read_page(path, 0).pixels == 127).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "F", "I"])
def test_every_grey_and_palette_mode_gives_rgb(tmp_path: Path, picture: Pixels, mode: str) -> None:
    path = tmp_path / "page.tif"
    grey = Image.fromarray(picture).convert("L")
    if mode == "I;16":
        Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(path)
    else:
        source = Image.fromarray(picture) if mode == "P" else grey
        source.convert(mode, dither=Image.Dither.NONE).save(path)
    pixels = read_page(path, 0).pixels
    assert pixels.shape == picture.shape
    assert pixels[30, 40].max() < 60
    assert mode == "1" or pixels[30, 120].max() > pixels[30, 40].max()


# --- PDF -----------------------------------------------------------------------------------------------------


def save_pdf(path: Path, *pictures: Pixels, **how: Any) -> None:  # noqa: ANN401 - Pillow's options
    first, *others = (Image.fromarray(p) for p in pictures)
    first.save(path, "PDF", save_all=True, append_images=others, **how)


def test_every_page_of_a_pdf_is_read(tmp_path: Path, picture: Pixels) -> None:
    path = tmp_path / "report.pdf"
    save_pdf(path, picture, picture[:, ::-1].copy(), resolution=200)
    found = list(iter_pages(path))
    assert count_pages(path) == len(found) == 2
    assert_same_picture(found[0].pixels, picture)
    assert_same_picture(found[1].pixels, picture[:, ::-1])


@pytest.mark.parametrize("dpi", [150, 200, 300])
def test_a_scan_in_a_pdf_keeps_its_own_pixels(tmp_path: Path, dpi: int) -> None:
    path = tmp_path / "scan.pdf"
    stripes = np.zeros((11 * dpi, 8 * dpi, 3), np.uint8)
    stripes[:, ::2] = 255
    save_pdf(path, stripes, resolution=dpi, quality=95)
    page = read_page(path, 0)
    assert page.pixels.shape == stripes.shape
    assert page.dpi == pytest.approx(dpi, rel=1e-3)
    assert np.abs(page.pixels.astype(int) - stripes)[10:-10, 10:-10].max() < 30


def test_a_drawn_pdf_is_rendered_at_ten_pixels_per_millimetre(tmp_path: Path) -> None:
    path = tmp_path / "drawn.pdf"
    document = pdfium.PdfDocument.new()
    document.new_page(842, 595)
    document.save(path)
    document.close()
    page = read_page(path, 0)
    assert page.dpi == pytest.approx(254, rel=1e-3)
    assert page.width == pytest.approx(2970, abs=2)
    assert (page.pixels == 255).all()


def test_a_turned_pdf_page_is_shown_as_a_viewer_shows_it(tmp_path: Path, picture: Pixels) -> None:
    path, turned = tmp_path / "a.pdf", tmp_path / "turned.pdf"
    save_pdf(path, picture, resolution=200)
    document = pdfium.PdfDocument(path)
    document[0].set_rotation(90)
    document.save(turned)
    document.close()
    assert_same_picture(read_page(turned, 0).pixels, np.rot90(picture, -1))


# --- DICOM ---------------------------------------------------------------------------------------------------


def test_a_dicom_colour_scan_is_read(write_dicom: Callable[..., Path], picture: Pixels) -> None:
    page = read_page(write_dicom(picture, NominalScannedPixelSpacing=[0.127, 0.127]), 0)
    np.testing.assert_array_equal(page.pixels, picture)
    assert page.dpi == pytest.approx(200)


def test_a_dicom_with_a_broken_resolution_is_read_without_one(
    write_dicom: Callable[..., Path], picture: Pixels
) -> None:
    path = write_dicom(picture, PixelSpacing=[0.127, 0.127])
    content = path.read_bytes()
    path.write_bytes(content.replace(b"0.127", b"0.x\xff7", 1))
    page = read_page(path, 0)
    np.testing.assert_array_equal(page.pixels, picture)
    assert page.dpi is None


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_dicom_grey_scan_is_white_paper_with_black_ink(write_dicom: Callable[..., Path], photometric: str) -> None:
    ink = np.zeros((120, 160), bool)
    ink[50:60] = True
    white, black = (0, 4095) if photometric == "MONOCHROME1" else (4095, 0)
    samples = np.where(ink, black, white).astype(np.uint16)
    path = write_dicom(samples, PhotometricInterpretation=photometric, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(read_page(path, 0).pixels[..., 0], np.where(ink, 0, 255))


def test_a_dicom_window_is_applied(write_dicom: Callable[..., Path]) -> None:
    samples = np.tile(np.arange(0, 4096, 16, dtype=np.uint16), (120, 1))
    path = write_dicom(samples, WindowCenter=2048, WindowWidth=1024, RescaleSlope=1, RescaleIntercept=0)
    row = read_page(path, 0).pixels[0, :, 0]
    assert (row[samples[0] < 1500] == 0).all()
    assert (row[samples[0] > 2600] == 255).all()
    assert row[128] == pytest.approx(128, abs=2)


def test_every_frame_of_a_dicom_is_a_page(write_dicom: Callable[..., Path], picture: Pixels) -> None:
    frames = np.stack([picture[..., 0], picture[..., 1], picture[..., 2]])
    path = write_dicom(frames, frames=3)
    found = list(iter_pages(path))
    assert len(found) == 3
    for page, frame in zip(found, frames, strict=True):
        np.testing.assert_array_equal(page.pixels[..., 2], frame)


def test_a_dicom_palette_is_applied(write_dicom: Callable[..., Path]) -> None:
    samples = np.repeat(np.arange(2, dtype=np.uint8), 120)[:, None].repeat(160, axis=1)
    lut = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour, entries in (("Red", (0, 255)), ("Green", (0, 128)), ("Blue", (255, 0)))
        for part, value in (
            ("Descriptor", [2, 0, 16]),
            ("Data", (np.array(entries, "<u2") * 257).astype("<u2").tobytes()),
        )
    }
    pixels = read_page(write_dicom(samples, PhotometricInterpretation="PALETTE COLOR", **lut), 0).pixels
    np.testing.assert_array_equal(pixels[[0, -1], 0], [[0, 0, 255], [255, 128, 0]])


def test_a_pdf_inside_a_dicom_is_read(write_dicom: Callable[..., Path], picture: Pixels) -> None:
    content = BytesIO()
    Image.fromarray(picture).save(content, "PDF", resolution=200)
    document = content.getvalue()
    path = write_dicom(picture[..., 0], EncapsulatedDocument=document + b"\0" * (len(document) % 2))
    assert_same_picture(read_page(path, 0).pixels, picture)
