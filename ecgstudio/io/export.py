"""Write a page's results in the formats that users ask for, all files of a page or none.

A sample that was not printed or not read stays missing in every format: never zero, never made up. A lead that was
reconstructed follows in a channel of its own, whose label says so; a comment of the WFDB header and a column of the
CSV file say which of its samples were changed and which were filled.
"""

import csv
import enum
import hashlib
import io
import json
import math
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ecgstudio import __version__
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.leads import LEAD_INDEX, LEADS
from ecgstudio.core.rebuilt import Mark, RebuiltLeads, spans
from ecgstudio.errors import OutputError, UserError
from ecgstudio.io.atomic import file_group

OVERLAY_SUFFIX = "-overlay.png"
REBUILT_LABEL = "reconstructed"
"""What stands behind a lead's name where a channel is not what was read."""

WFDB_GAIN_PER_MV = 1000.0
_WFDB_INVALID = -32768
_WFDB_MAX = 32767
# Gains for a lead that does not fit: 65, 163, 327 mV and so on; nobody's heart, but a clipped sample would lie.
_WFDB_GAINS = (WFDB_GAIN_PER_MV, 500.0, 200.0, 100.0, 50.0, 20.0, 10.0, 5.0, 2.0, 1.0)

_MV_DECIMALS = 4
_MAX_NAME_CHARS = 100
_RESERVED_NAMES = frozenset(
    ["con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))]
)


@dataclass(frozen=True, slots=True)
class PageResults:
    """What is known about a page when it is written; `overlay` is the content of a PNG file."""

    stem: str
    record: EcgRecord
    report: Mapping[str, object]
    overlay: bytes | None


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write a page: the ends of its files' names, and the contents of these files in that order."""

    suffixes: tuple[str, ...]
    encode: Callable[[PageResults], Sequence[bytes]]


def export_page(
    stem: str,
    folder: Path,
    record: EcgRecord,
    report: Mapping[str, object],
    overlay: bytes | None,
    *,
    formats: Sequence[str],
    overwrite: bool,
) -> list[Path]:
    """Write the results of a page as `<folder>/<stem>...`, all files or none; return them in the order written.

    Raises UserError for an unknown format, for a file that exists if `overwrite` is false, and if writing
    fails. Raises ValueError if the overlay is asked for and not given.
    """
    results = PageResults(safe_name(stem), record, report, overlay)
    chosen = [FORMATS[name] for name in parse_formats(formats)]
    targets = [Path(folder) / f"{results.stem}{suffix}" for format in chosen for suffix in format.suffixes]
    if not overwrite:
        check_absent(targets)
    contents = [content for format in chosen for content in format.encode(results)]
    with file_group() as group:
        for target, content in zip(targets, contents, strict=True):
            group.add(target, content)
        if not overwrite:
            check_absent(targets)
    return targets


def output_paths(stem: str, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Return the files that export_page would write, to find out early whether they exist."""
    name = safe_name(stem)
    return [Path(folder) / f"{name}{s}" for format in parse_formats(formats) for s in FORMATS[format].suffixes]


def check_absent(paths: Iterable[Path]) -> None:
    """Raise UserError naming the first of the files that exists."""
    for path in paths:
        if os.path.lexists(path):
            raise OutputError(f"{path} exists already; choose another folder or allow overwriting.")


def parse_formats(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return the formats named, each once; a text is split at commas. Raises UserError for one we do not write."""
    given = names.split(",") if isinstance(names, str) else names
    cleaned = [name.strip().lower() for name in given if name.strip()]
    for name in cleaned:
        if name not in FORMATS:
            raise UserError(f"{name!r} is no format that can be written; choose from {', '.join(FORMATS)}.")
    if not cleaned:
        raise UserError(f"No format is given; choose from {', '.join(FORMATS)}.")
    return tuple(dict.fromkeys(cleaned))


# --- names ---------------------------------------------------------------------------------------------------


def safe_name(text: str) -> str:
    """Return a name that is valid in every file system and as a WFDB record: letters, digits, `_` and `-`, in ASCII.

    Accents are dropped and other characters become `_`. Where letters of another script are lost, a hash of
    the whole text keeps two names apart. A safe name stays as it is.
    """
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    name = re.sub(r"[^A-Za-z0-9_-]", "_", plain)
    lost = any(c.isalnum() and not c.isascii() for c in plain)
    name = re.sub(r"_{2,}", "_", name) if name != plain else name
    if not re.search(r"[A-Za-z0-9]", name):
        name, lost = "page", True
    if name.startswith("-"):
        name = "_" + name[1:]
    if lost or len(name) > _MAX_NAME_CHARS:
        name = _shortened(name, text)
    return f"_{name}" if name.lower() in _RESERVED_NAMES else name


def numbered_name(name: str, number: str) -> str:
    """Return a safe name with a number such as `-2` or `-p2` at its end; a long one makes room for it."""
    if len(name) + len(number) <= _MAX_NAME_CHARS:
        return f"{name}{number}"
    return f"{_shortened(name, name, room=len(number))}{number}"


def _shortened(name: str, text: str, *, room: int = 0) -> str:
    """Cut a name, and let a hash of the whole text keep it apart from others that begin alike."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[: _MAX_NAME_CHARS - 9 - room]}-{digest}"


@dataclass(slots=True)
class StemRegister:
    """Gives every page of a call its own stem, also where a file system takes `A` and `a` for the same name."""

    _taken: set[str] = field(default_factory=set)

    def claim(self, stem: str) -> str:
        """Return the stem, made safe, if it is free, else `<stem>-2`, `<stem>-3`, ...; it is taken from then on."""
        stem, number = safe_name(stem), 1
        name = stem
        while name.casefold() in self._taken:
            number += 1
            name = numbered_name(stem, f"-{number}")
        self._taken.add(name.casefold())
        return name


# --- WFDB ----------------------------------------------------------------------------------------------------


def _encode_wfdb(results: PageResults) -> tuple[bytes, bytes]:
    """Header and samples: format 16, mV, gain 1000, not-known samples as WFDB's invalid value.

    A lead whose voltages do not fit gets a lower gain. https://physionet.org/physiotools/wag/header-5.htm
    """
    record = results.record
    channels = _channels(record, joint=" ")
    gains = [_wfdb_gain(mv, label) for label, mv in channels]
    scaled = np.rint(np.stack([mv for _, mv in channels]).astype(np.float64) * np.array(gains)[:, None])
    samples = np.where(np.isnan(scaled), _WFDB_INVALID, scaled).astype("<i2")
    lines = [f"{results.stem} {len(channels)} {_number(record.fs)} {samples.shape[1]}"]
    for (label, _), gain, row in zip(channels, gains, samples, strict=True):
        checksum = (int(row.sum(dtype=np.int64)) + 0x8000) % 0x10000 - 0x8000
        first = int(row[0]) if row.size else 0
        lines.append(f"{results.stem}.dat 16 {_number(gain)}(0)/mV 16 0 {first} {checksum} 0 {label}")
    lines.append(f"# Digitized from paper by ECG Studio {__version__}")
    lines += [f"# {_one_line(key)}: {_one_line(value)}" for key, value in record.meta.items()]
    lines += [f"# {line}" for line in _rebuilt_comments(record)]
    header = ("\n".join(lines) + "\n").encode("ascii")
    return header, np.ascontiguousarray(samples.T).tobytes()


def _channels(record: EcgRecord, *, joint: str) -> list[tuple[str, npt.NDArray[np.float32]]]:
    """Return what is written, by label: the leads as read, then those that the reconstruction changed."""
    channels = list(zip(record.leads, record.mv, strict=True))
    if record.rebuilt is not None:
        labelled = zip(LEADS, record.rebuilt.mv, strict=True)
        channels += [(f"{lead}{joint}{REBUILT_LABEL}", mv) for lead, mv in labelled if record.rebuilt.changes(lead)]
    return channels


def _rebuilt_comments(record: EcgRecord) -> list[str]:
    """Say of every channel of the reconstruction how much of it is not what was read, and where nothing was."""
    rebuilt, lines = record.rebuilt, []
    for lead in LEADS if rebuilt is not None else ():
        if rebuilt is None or not rebuilt.changes(lead):
            continue
        mark = rebuilt.mark[LEAD_INDEX[lead]]
        known = max(int(np.isfinite(rebuilt.mv[LEAD_INDEX[lead]]).sum()), 1)
        said = f"{lead} {REBUILT_LABEL}: {100 * (mark == Mark.CHANGED).sum() / known:.1f} % of its samples changed"
        filled = [f"{a:.3f}-{b:.3f} s" for a, b in spans(mark == Mark.FILLED) / record.fs]
        lines.append(said + (f", filled where nothing was read: {', '.join(filled)}" if filled else ""))
    return lines


def _wfdb_gain(mv: npt.NDArray[np.float32], lead: str) -> float:
    known = np.abs(mv[~np.isnan(mv)].astype(np.float64))
    peak = float(known.max()) if known.size else 0.0
    for gain in _WFDB_GAINS:
        if np.rint(peak * gain) <= _WFDB_MAX:
            return gain
    raise OutputError(f"Lead {lead} reaches {peak:.0f} mV, which WFDB cannot hold; check the gain of the page.")


def _one_line(value: object) -> str:
    """Text for a header comment, which WFDB keeps to ASCII and to one line."""
    text = value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=True)
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


# --- CSV, long and JSON --------------------------------------------------------------------------------------


def _encode_csv(results: PageResults) -> tuple[bytes]:
    record = results.record
    decimals = max(3, math.ceil(math.log10(record.fs)) + 2)
    times = [f"{t:.{decimals}f}" for t in record.t_s]
    channels = _channels(record, joint="_")
    columns = [_cells(mv) for _, mv in channels]
    marks = {} if record.rebuilt is None else _mark_columns(record.rebuilt)
    labels = ["time_s", *(label for label, _ in channels), *marks]
    return (_table(labels, zip(times, *columns, *marks.values(), strict=True)),)


def _mark_columns(rebuilt: RebuiltLeads) -> dict[str, list[str]]:
    """Return, for each lead that the reconstruction changed, a word per sample; empty where it is what was read."""
    words = {Mark.AS_READ: "", Mark.CHANGED: "changed", Mark.FILLED: "filled"}
    return {
        f"{lead}_{REBUILT_LABEL}_mark": [words[Mark(mark)] for mark in rebuilt.mark[LEAD_INDEX[lead]].tolist()]
        for lead in LEADS
        if rebuilt.changes(lead)
    }


def _encode_long(results: PageResults) -> tuple[bytes]:
    """One row per printed sample: `<stem>_<row>_<lead>`, the row from 0 at the lead's first sample.

    A sample within the lead that could not be read keeps its row, with an empty value: the next ones keep
    their time.
    """
    rows: list[tuple[str, str]] = []
    for lead, mv in zip(results.record.leads, results.record.mv, strict=True):
        first, last = results.record.span(lead)
        rows += [(f"{results.stem}_{row}_{lead}", cell) for row, cell in enumerate(_cells(mv[first:last]))]
    return (_table(["id", "value"], rows),)


def _cells(mv: npt.NDArray[np.float32]) -> list[str]:
    rounded = np.round(mv.astype(np.float64), _MV_DECIMALS) + 0.0  # + 0.0: no "-0.0000"
    return ["" if math.isnan(v) else f"{v:.{_MV_DECIMALS}f}" for v in rounded.tolist()]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return stream.getvalue().encode("utf-8")


def _encode_json(results: PageResults) -> tuple[bytes]:
    text = json.dumps(_plain(results.report), indent=2, ensure_ascii=False, allow_nan=False)
    return ((text + "\n").encode("utf-8"),)


def _plain(value: object) -> object:
    """Turn a report's values into JSON's; keys keep the caller's order, numbers that are none become null."""
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=repr)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a report cannot hold {type(value).__name__}")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _encode_overlay(results: PageResults) -> tuple[bytes]:
    if results.overlay is None:
        raise ValueError("the overlay is to be written but was not drawn")
    return (results.overlay,)


FORMATS: dict[str, Format] = {
    "wfdb": Format((".hea", ".dat"), _encode_wfdb),
    "csv": Format((".csv",), _encode_csv),
    "long": Format(("-long.csv",), _encode_long),
    "json": Format((".json",), _encode_json),
    "overlay": Format((OVERLAY_SUFFIX,), _encode_overlay),
}
"""What can be written, by the name users type. A new format is a row here."""
