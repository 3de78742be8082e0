"""Read the images of a DICOM file as RGB bytes, frame by frame; a PDF inside one is handed to the PDF reader."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array

from ecgstudio.core.arrays import U8
from ecgstudio.errors import InputError
from ecgstudio.io.pdf import PdfReader
from ecgstudio.io.pixels import PageReader, bytes_from_samples, check_size, damaged, rgb_from_grey, stretch, true_dpi

_MM_PER_INCH = 25.4
_SPACINGS = ("NominalScannedPixelSpacing", "ImagerPixelSpacing", "PixelSpacing")

# What pydicom raises on files that end early or lie about themselves; it has no root for these.
_BROKEN = (
    InvalidDicomError, BytesLengthException, OSError, EOFError, ValueError, TypeError, AttributeError, KeyError,
    IndexError, RuntimeError, NotImplementedError,
)  # fmt: skip


def open_dicom(content: bytes, *, name: str) -> PageReader:
    """Open a DICOM file. Raises InputError if it is damaged or holds neither images nor a PDF."""
    try:
        with _quiet_pydicom():
            dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        if "EncapsulatedDocument" in dataset:
            document = bytes(dataset.EncapsulatedDocument)
            if document[:1024].find(b"%PDF-") >= 0:
                return PdfReader(document, name=name)
        if "WaveformSequence" in dataset:
            raise InputError(f"{name} holds a digital recording, not the picture of one; it needs no digitizing.")
        if "PixelData" not in dataset:
            if len(dataset) == 0 or "SOPClassUID" not in dataset:
                raise damaged(name)
            raise InputError(f"{name} holds no image.")
        return DicomReader(dataset, name=name)
    except _BROKEN as error:
        raise damaged(name) from error


class DicomReader:
    """An open DICOM image."""

    def __init__(self, dataset: pydicom.Dataset, *, name: str) -> None:
        self._dataset, self._name = dataset, name
        self._count = max(1, int(dataset.get("NumberOfFrames", 1) or 1))
        self._rows, self._columns = int(dataset.Rows), int(dataset.Columns)

    @property
    def count(self) -> int:
        """Number of frames."""
        return self._count

    def read(self, index: int) -> tuple[U8, float | None]:
        """Decode a frame as a viewer shows it: rescaled, windowed, MONOCHROME1 turned, palettes applied."""
        check_size(self._columns, self._rows, self._name)
        try:
            with _quiet_pydicom():
                pixels = _rgb(pixel_array(self._dataset, index=index), self._dataset)
        except (NotImplementedError, RuntimeError) as error:
            raise InputError(f"{self._name} is compressed in a way that cannot be read; export it again.") from error
        except _BROKEN as error:
            raise damaged(self._name) from error
        if pixels.shape != (self._rows, self._columns, 3):
            raise damaged(self._name)
        return pixels, _dpi(self._dataset)

    def close(self) -> None:
        """Let go of the file."""


@contextmanager
def _quiet_pydicom() -> Iterator[None]:
    """Keep pydicom's warnings on unclean fields from the user: hospital files are full of them, and readable."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="pydicom")
        yield


def _rgb(samples: np.ndarray[Any, Any], dataset: pydicom.Dataset) -> U8:
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if photometric == "PALETTE COLOR":
        colours = apply_color_lut(samples, dataset)
        return np.ascontiguousarray(colours if colours.dtype == np.uint8 else (colours >> 8).astype(np.uint8))
    if samples.ndim == 3:
        bits = int(dataset.get("BitsStored", 8))
        return np.ascontiguousarray(samples if samples.dtype == np.uint8 else stretch(samples, 0, 2**bits - 1))
    grey = _window(samples, dataset)
    return rgb_from_grey(255 - grey if photometric == "MONOCHROME1" else grey)


def _window(samples: np.ndarray[Any, Any], dataset: pydicom.Dataset) -> U8:
    """Show grey samples in the window that the file gives, in their whole range if it gives none."""
    values = np.asarray(apply_modality_lut(samples, dataset))
    if "VOILUTSequence" in dataset:
        shown = np.asarray(apply_voi_lut(values, dataset))
        return stretch(shown, 0, 2 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    width = _first(dataset.get("WindowWidth"))
    centre = _first(dataset.get("WindowCenter"))
    if width is not None and centre is not None and width >= 1:
        # The linear function of DICOM PS3.3 C.11.2.1.2: values from c - 0.5 - (w - 1)/2 to c - 0.5 + (w - 1)/2.
        half = max(width - 1, 1e-6) / 2
        return stretch(values, centre - 0.5 - half, centre - 0.5 + half)
    if int(dataset.get("BitsStored", 8)) == 1:
        return stretch(values, 0, 1)
    return bytes_from_samples(values)


def _first(value: object) -> float | None:
    """First of one or several values, None if there is none."""
    if value is None or value == "":
        return None
    if isinstance(value, pydicom.multival.MultiValue):
        return float(value[0]) if len(value) else None
    return float(value)  # type: ignore[arg-type]


def _dpi(dataset: pydicom.Dataset) -> float | None:
    """Dots per inch from the first spacing (mm between pixel centres) that is given."""
    for keyword in _SPACINGS:
        try:
            spacing = _first(dataset.get(keyword))
        except _BROKEN:  # a page is worth more than its resolution
            continue
        if spacing is not None and spacing > 0:
            return true_dpi(_MM_PER_INCH / spacing)
    return None
