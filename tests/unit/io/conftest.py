"""A picture that survives every format recognisably, and a maker of DICOM files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid


@pytest.fixture
def picture() -> npt.NDArray[np.uint8]:
    """RGB 120 x 160: a dark corner top left, then a red, a green and a blue quarter; lossy formats keep them apart."""
    pixels = np.empty((120, 160, 3), np.uint8)
    pixels[:60, :80] = 16
    pixels[:60, 80:] = (224, 32, 32)
    pixels[60:, :80] = (32, 224, 32)
    pixels[60:, 80:] = (32, 32, 224)
    return pixels


@pytest.fixture
def write_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Write samples [frames, rows, columns] or [rows, columns(, 3)] as a secondary capture."""

    def write(samples: npt.NDArray[np.generic], *, name: str = "page.dcm", frames: int = 1, **fields: object) -> Path:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["page"])
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset = FileDataset(str(tmp_path / name), {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        colour = samples.shape[-1] == 3
        dataset.Rows, dataset.Columns = samples.shape[-3:-1] if colour else samples.shape[-2:]
        dataset.SamplesPerPixel = 3 if colour else 1
        if colour:
            dataset.PlanarConfiguration = 0
        dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
        bits = samples.dtype.itemsize * 8
        dataset.BitsAllocated = dataset.BitsStored = bits
        dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
        if frames > 1:
            dataset.NumberOfFrames = frames
        dataset.PixelData = samples.tobytes()
        for keyword, value in fields.items():
            setattr(dataset, keyword, value)
        path = tmp_path / name
        pydicom.dcmwrite(path, dataset, enforce_file_format=True)
        return path

    return write
