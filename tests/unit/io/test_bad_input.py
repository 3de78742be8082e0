"""Every file that is no page gets one sentence, before anything large is allocated."""

import os
import struct
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image

from ecgstudio.errors import InputError, UserError
from ecgstudio.io.images import iter_pages, read_page

Pixels = npt.NDArray[np.uint8]


def complaint(path: Path) -> str:
    """Read all pages, which must fail, and return the sentence shown to the user."""
    with pytest.raises(UserError) as caught:
        list(iter_pages(path))
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert path.name in sentence
    return sentence


def noise(seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (300, 400, 3), dtype=np.uint8)


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def test_a_missing_file(tmp_path: Path) -> None:
    assert "There is no file" in complaint(tmp_path / "nowhere.png")


@pytest.mark.parametrize("name", ["a.png", "a.pdf", "a.dcm", "a.tif"])
def test_an_empty_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert "is empty" in complaint(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.tif", "a.pdf", "a.dcm"])
def test_a_text_under_the_name_of_a_page(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("BMW II* dear colleague, the ECG of Mrs X shows " * 20)
    assert "is not an image" in complaint(tmp_path / name)


@pytest.mark.parametrize("name", ["letter.docx", "notes.txt", "record.hea", "noname"])
def test_a_file_of_another_kind_says_what_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("something else")
    assert "PNG, JPEG, WebP, BMP, TIFF, PDF or DICOM" in complaint(tmp_path / name)


def test_a_heic_photo_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    assert "save it as JPEG" in complaint(path)


def test_a_folder_without_pages(tmp_path: Path) -> None:
    assert "folder" in complaint(tmp_path)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root and Windows read everything")
def test_a_file_we_may_not_read(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(b"x")
    path.chmod(0)
    assert "not allowed" in complaint(path)


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.97])
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.png", {}),
        ("a.jpg", {}),
        ("b.jpg", {"progressive": True}),
        ("a.webp", {}),
        ("a.bmp", {}),
        ("a.tif", {}),
        ("b.tif", {"compression": "tiff_lzw"}),
        ("c.tif", {"compression": "jpeg"}),
        ("a.pdf", {"format": "PDF"}),
    ],
)
def test_a_file_whose_end_is_missing(tmp_path: Path, name: str, how: dict[str, object], kept: float) -> None:
    path = tmp_path / name
    Image.fromarray(noise()).save(path, **how)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    assert "damaged or not complete" in complaint(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.pdf"])  # a lossy WebP has nothing to tell it by
def test_a_file_whose_end_is_zeros(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(noise()).save(path)
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[:half] + bytes(len(content) - half))
    assert "damaged or not complete" in complaint(path)


def test_a_cut_jpeg_whose_thumbnail_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    thumbnail = tmp_path / "thumbnail.jpg"
    Image.fromarray(noise(1)[:50, :50]).save(thumbnail)
    Image.fromarray(noise()).save(path, exif=b"Exif\0\0" + thumbnail.read_bytes())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + bytes(len(content) // 2))
    assert "damaged or not complete" in complaint(path)


def test_a_pdf_cut_inside_a_page_of_many(tmp_path: Path) -> None:
    path = tmp_path / "many.pdf"
    pages = [Image.fromarray(noise(n)) for n in range(4)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    path.write_bytes(path.read_bytes()[:-40])
    assert "damaged or not complete" in complaint(path)


def test_a_pdf_with_a_password(tmp_path: Path) -> None:
    path = tmp_path / "locked.pdf"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>",
        b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <" + b"5a" * 32 + b"> /U <" + b"a5" * 32 + b"> >>",
    ]
    content, starts = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        starts.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    trailer = b"<< /Root 1 0 R /Encrypt 4 0 R /Size 5 /ID [<%s> <%s>] >>" % (b"00" * 16, b"00" * 16)
    content += b"xref\n0 5\n0000000000 65535 f \n%strailer\n%s\nstartxref\n%d\n%%%%EOF\n" % (
        table,
        trailer,
        content.find(b"xref") if b"xref" in content else len(content),
    )
    path.write_bytes(content)
    assert "password" in complaint(path)


def test_a_pdf_without_pages(tmp_path: Path) -> None:
    path = tmp_path / "none.pdf"
    path.write_bytes(
        b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
        b"2 0 obj\n<< /Type /Pages /Kids [] /Count 0 >>\nendobj\ntrailer\n<< /Root 1 0 R /Size 3 >>\n%%EOF\n"
    )
    complaint(path)


@pytest.mark.parametrize("size", [(1, 1), (99, 400), (400, 99)])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif", ".pdf"])
def test_a_picture_too_small_to_hold_an_ecg(tmp_path: Path, size: tuple[int, int], suffix: str) -> None:
    path = tmp_path / f"tiny{suffix}"
    Image.new("RGB", size).save(path, **({"resolution": 200} if suffix == ".pdf" else {}))
    assert "too small" in complaint(path)


@pytest.fixture
def allocated() -> Callable[[], int]:
    """Peak of what Python and numpy allocate from here on, in bytes."""
    tracemalloc.start()

    def peak() -> int:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    return peak


def bomb(kind: str) -> bytes:
    """A small file whose header promises a giant picture."""
    side = 60_000
    match kind:
        case "png":
            return png_header(side, side)
        case "bmp":
            head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
            return b"BM" + struct.pack("<IHHI", 54 + 100, 0, 0, 54) + head + bytes(100)
        case "jpeg":
            frame = struct.pack(">HBHHB", 11, 8, side, side, 1) + b"\x01\x11\x00"
            return b"\xff\xd8\xff\xc0" + frame + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + bytes(50) + b"\xff\xd9"
        case "webp":
            canvas = (16_382).to_bytes(3, "little") * 2
            body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas
            body += b"VP8 " + struct.pack("<I", 10) + bytes(10)
            return b"RIFF" + struct.pack("<I", len(body)) + body
        case _:
            entries = [
                (256, side),
                (257, side),
                (258, 8),
                (259, 5),
                (262, 1),
                (273, 8),
                (277, 1),
                (278, side),
                (279, 9),
            ]
            fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
            return b"II*\0" + struct.pack("<I", 20) + bytes(12) + struct.pack("<H", len(entries)) + fields + bytes(4)


@pytest.mark.parametrize("kind", ["png", "bmp", "jpeg", "webp", "tif"])
def test_a_giant_is_refused_before_memory_is_taken(tmp_path: Path, kind: str, allocated: Callable[[], int]) -> None:
    path = tmp_path / f"bomb.{kind}"
    path.write_bytes(bomb(kind))
    assert "too large" in complaint(path)
    assert allocated() < 20_000_000


def test_a_giant_dicom_is_refused(write_dicom: Callable[..., Path], picture: Pixels) -> None:
    path = write_dicom(picture, Rows=60_000, Columns=60_000)
    assert "too large" in complaint(path)


def test_a_giant_picture_inside_a_small_pdf_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pdf"
    path.write_bytes(
        b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
        b"2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n"
        b"3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /XObject << /X 5 0 R >> >> >>\nendobj\n"
        b"4 0 obj\n<< /Length 31 >>\nstream\nq 595 0 0 842 0 0 cm /X Do Q   \nendstream\nendobj\n"
        b"5 0 obj\n<< /Type /XObject /Subtype /Image /Width 60000 /Height 60000 /BitsPerComponent 8"
        b" /ColorSpace /DeviceGray /Length 4 >>\nstream\nabcd\nendstream\nendobj\n"
        b"trailer\n<< /Root 1 0 R /Size 6 >>\n%%EOF\n"
    )
    assert "too large" in complaint(path)


def test_a_dicom_with_too_few_samples(write_dicom: Callable[..., Path], picture: Pixels) -> None:
    path = write_dicom(picture)
    path.write_bytes(path.read_bytes()[:-5000])
    assert "damaged" in complaint(path)


def test_a_dicom_that_ends_in_its_header(write_dicom: Callable[..., Path], picture: Pixels) -> None:
    path = write_dicom(picture)
    path.write_bytes(path.read_bytes()[:200])
    complaint(path)


def test_a_dicom_without_a_picture(write_dicom: Callable[..., Path], picture: Pixels) -> None:
    path = write_dicom(picture)
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    assert "no image" in complaint(path)


def test_a_page_that_is_not_there(tmp_path: Path, picture: Pixels) -> None:
    path = tmp_path / "one.png"
    Image.fromarray(picture).save(path)
    with pytest.raises(InputError, match="has no page 2"):
        read_page(path, 1)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "b.tif", "a.pdf"])
def test_flipped_bytes_give_a_picture_or_a_sentence(tmp_path: Path, name: str, seed: int) -> None:
    path = tmp_path / name
    Image.fromarray(noise()[:130, :130]).save(path, **({"compression": "tiff_lzw"} if name == "b.tif" else {}))
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, min(len(content), 600), 4):
        content[place] = rng.integers(0, 256)
    path.write_bytes(content)
    try:
        pages = list(iter_pages(path))
    except UserError as error:
        assert str(error).endswith(".")  # noqa: PT017 - both outcomes are right
    else:
        assert all(page.pixels.size for page in pages)
