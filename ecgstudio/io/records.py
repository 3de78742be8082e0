"""Read digital records (WFDB) from disk: the standard leads in mV, and what the header says of age, sex and paper."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.leads import LEADS, canonical_lead
from ecgstudio.errors import InputError

RECORD_SUFFIX: Final = ".hea"
MAX_HEADER_BYTES: Final = 1_000_000
MV_PER_UNIT: Final = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6, "v": 1e3}
KEPT_COMMENTS: Final = {
    "age": "age",
    "sex": "sex",
    "layout": "layout",
    "mm_per_s": "mm_per_s",
    "mm_per_mv": "mm_per_mV",
}
"""Of a header's comments only these are taken over, for the others may name the patient."""


def read_record(path: str | os.PathLike[str], *, seconds: float | None = None) -> EcgRecord:
    """Return the standard leads that a WFDB record holds, in mV, at its own rate; invalid samples become NaN.

    `seconds`: read no more than the first ones of a long record. `meta` holds what the header's comments say of age,
    sex, layout and scale.

    Raises:
        InputError: the file is no WFDB header, its samples are missing or damaged, or none of its signals is a lead.
    """
    file = Path(path)
    _check_header(file)
    stored = _read_wfdb(file, seconds)
    signals, names = stored.p_signal, stored.sig_name or ()
    if signals is None or not len(signals):
        raise InputError(f"{file.name} holds no samples.")
    columns = _lead_columns(names)
    if not columns:
        raise InputError(f"{file.name} holds none of the twelve leads, only {_few(names)}.")
    units = stored.units or ("mV",) * len(names)
    mv = np.stack([_in_mv(signals[:, column], units[column], where=file.name) for column in columns.values()])
    if not (stored.fs and 0 < float(stored.fs) < math.inf):
        raise InputError(f"{file.name} says that it has {stored.fs} samples per second.")
    return EcgRecord(
        mv=mv.astype(np.float32), fs=float(stored.fs), leads=tuple(columns), meta=_meta(stored.comments or ())
    )


def is_record(path: str | os.PathLike[str]) -> bool:
    """Tell by its name whether a file is the header of a record."""
    return Path(path).suffix.lower() == RECORD_SUFFIX


def _check_header(file: Path) -> None:
    """Refuse what cannot be a header before anything looks into it."""
    try:
        if not file.exists():
            raise InputError(f"There is no file {file}.")
        if not file.is_file():
            raise InputError(f"{file.name or file} is not a file that can be read.")
        size = file.stat().st_size
        with file.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        raise InputError(f"{file.name} cannot be read: {error.strerror or 'of an unknown error'}.") from error
    except ValueError as error:  # a NUL in the name
        raise InputError("The name of the file is not valid.") from error
    if not size:
        raise InputError(f"{file.name} is empty.")
    if size > MAX_HEADER_BYTES:
        raise InputError(f"{file.name} is too large to be the header of a record.")


def _read_wfdb(file: Path, seconds: float | None) -> Any:  # noqa: ANN401 - wfdb has no types
    """Return wfdb's own record; a header made by anybody can make its parser raise anything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wfdb 4.3 on pandas 3, and casts of invalid samples
        import wfdb  # a second, which those who read pages do not wait

    name = str(file.absolute().with_suffix(""))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = wfdb.rdheader(name)
            last = None
            if seconds is not None and header.sig_len and header.fs and header.fs > 0:
                last = min(int(header.sig_len), math.ceil(seconds * header.fs))
            return wfdb.rdrecord(name, sampto=last)
    except FileNotFoundError as error:
        missing = Path(str(error.filename or "")).name
        raise InputError(f"{file.name} is there, but not {missing or 'the file of its samples'}.") from error
    except OSError as error:
        raise InputError(f"The samples of {file.name} cannot be read: {error.strerror or error}.") from error
    except MemoryError as error:
        raise InputError(f"{file.name} says that it is longer than memory allows.") from error
    except Exception as error:
        what = str(error) or type(error).__name__
        raise InputError(f"{file.name} is not the header of a WFDB record, or damaged ({what}).") from error


def _lead_columns(names: Iterable[str | None]) -> dict[str, int]:
    """Return the column of each standard lead, in the order of LEADS; of two of a name the first counts."""
    found: dict[str, int] = {}
    for column, name in enumerate(names):
        try:
            found.setdefault(canonical_lead(name or ""), column)
        except ValueError:
            continue
    return {lead: found[lead] for lead in LEADS if lead in found}


def _in_mv(values: F64, unit: str | None, *, where: str) -> F64:
    per_unit = MV_PER_UNIT.get((unit or "mV").strip().lower())
    if per_unit is None:
        raise InputError(f"{where}: a lead is given in {unit}, which is no voltage.")
    return np.where(np.isfinite(values), values * per_unit, np.nan)


def _meta(comments: Iterable[str]) -> dict[str, object]:
    meta: dict[str, object] = {}
    for comment in comments:
        name, colon, value = comment.partition(":")
        kept = KEPT_COMMENTS.get(name.strip().strip("<>").lower())
        if colon and kept and value.strip():
            meta[kept] = _number(value.strip())
    return meta


def _number(text: str) -> float | str:
    try:
        value = float(text)
    except ValueError:
        return text
    return value if math.isfinite(value) else text


def _few(names: Iterable[str | None]) -> str:
    shown = [str(name) for name in names]
    return ", ".join(shown[:6]) + (" and others" if len(shown) > 6 else "") if shown else "no signals"
