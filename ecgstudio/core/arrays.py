"""Read-only, shape-checked copies of the arrays that our values hold."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating[Any]]
"""Floats of any precision: what our functions take, where F64 is what they give."""

U8 = npt.NDArray[np.uint8]


def frozen_array(
    values: npt.ArrayLike, *, dtype: npt.DTypeLike, shape: Sequence[int | None], name: str
) -> npt.NDArray[Any]:
    """Return the values as a read-only, C-contiguous array of the dtype.

    `shape` gives the size of each axis, None where any size will do. An array that is already read-only, owns
    its memory and fits is returned as it is (a page of 100 MB is not copied twice). Raises ValueError on
    another shape or on a conversion that would not keep the values (complex or text into numbers, floats into
    bytes).
    """
    array = np.asarray(values)
    if array.size == 0 and array.ndim == 1 and len(shape) > 1:
        array = array.reshape([0] + [size or 0 for size in shape[1:]])
    if array.ndim != len(shape) or any(
        want is not None and want != got for want, got in zip(shape, array.shape, strict=True)
    ):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must have shape ({wanted}), not {array.shape}")
    if array.size and array.dtype != dtype and not np.can_cast(array.dtype, dtype, casting="same_kind"):
        raise ValueError(f"{name} must be {np.dtype(dtype)}, not {array.dtype}")
    if array.dtype == dtype and array.flags.c_contiguous and not array.flags.writeable and array.base is None:
        return array
    array = np.array(array, dtype=dtype, order="C", copy=True)
    array.flags.writeable = False
    return array


def check_finite(array: npt.NDArray[Any], name: str) -> None:
    """Raise ValueError if any value is NaN or infinite."""
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite")


def check_probability(array: npt.ArrayLike, name: str) -> None:
    """Raise ValueError unless every value lies in [0, 1]; a rounding error of float32 is allowed."""
    values = np.asarray(array)
    if not ((values >= -1e-6) & (values <= 1 + 1e-6)).all():
        raise ValueError(f"{name} must lie in [0, 1]")
