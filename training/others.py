"""``python -m training others``: pages with truth that other programs print, to measure on what nobody here drew.

Programs, each a package of PyPI to be installed first: ecg_plot (its version 0.2.8 prints other pages than those since
0.3), pmecg, dicom-ecg-plot. They are no dependencies of this project.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from packaging.requirements import Requirement
from scipy.signal import butter, lfilter

from ecgstudio.core.leads import LEADS
from ecgstudio.errors import UserError
from ecgstudio.io.atomic import file_group
from training.signals import RecordSource, open_source
from training.signals.record import SCORED_SPLITS

logger = logging.getLogger(__name__)

FS_HZ: Final = 500.0
SECONDS: Final = 10.0
MOST_MV: Final = 4.0
MOST_TRIES: Final = 10_000
TRUTH_FOLDER: Final = "truth"
QUIET_SAMPLES: Final = 60  # a filter's swing at the beginning is no ECG

Signals = NDArray[np.float64]
Drawn = tuple[bytes, Signals]
"""A page's file, and the signals [12, n] in mV that it shows."""

Order = list[list[str]]
"""The rows of a page; their leads share its seconds. A lead that stands alone lasts as long as its row."""

STANDARD: Final[Order] = [["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"], ["III", "aVF", "V3", "V6"]]
HALVES: Final[Order] = [list(pair) for pair in zip(LEADS[:6], LEADS[6:], strict=True)]
SINGLE: Final[Order] = [[lead] for lead in LEADS]


@dataclass(frozen=True, slots=True)
class Print:
    """How a program is asked to print a page: its options, and which leads it shows when.

    With `together` all columns show the same ten seconds.
    """

    order: Order
    options: Mapping[str, Any] = field(default_factory=dict)
    dpi: int = 200
    suffix: str = "png"
    together: bool = False

    def truth(self, mv: Signals) -> Signals:
        """Return what is printed of a record [12, n]: NaN where a lead is not shown."""
        out = np.full_like(mv, np.nan)
        for row in sorted(self.order, key=lambda row: -len(row)):
            each = mv.shape[1] if self.together else mv.shape[1] // len(row)
            for column, lead in enumerate(row):
                first = 0 if self.together else column * each
                out[LEADS.index(lead), first : first + each] = mv[LEADS.index(lead), first : first + each]
        return out


def _panels(order: Order = STANDARD, *, dpi: int = 200, suffix: str = "png", **options: Any) -> Print:  # noqa: ANN401
    options = {"layout": "12lead", "time_mode": "sequential", **options}
    rhythm = options.get("rhythm_lead")
    return Print([*order, [rhythm]] if rhythm else order, options, dpi, suffix)


ECG_PLOT: Final = (
    _panels(rhythm_lead="II"),
    _panels(dpi=300),
    _panels(rhythm_lead="II", style="bw", dpi=120),
    _panels(HALVES, layout="columns", columns=2, dpi=150),
    Print(HALVES, {"layout": "limb-chest"}, 120, together=True),
    Print(SINGLE, {"layout": "stacked"}, 120),
    _panels(rhythm_lead="V1", speed=50, dpi=120),
    _panels(gain=20, dpi=300),
    _panels(rhythm_lead="II", title="ECG 12", dpi=120),
    Print(SINGLE, {"layout": "stacked", "gain": 5}),
    _panels(rhythm_lead="II", suffix="pdf"),
)
OLD_ECG_PLOT: Final = (
    Print(HALVES, {"columns": 2}, 100, together=True),
    Print(SINGLE, {"columns": 1}, 100),
    Print(HALVES, {"columns": 2, "style": "bw"}, 100, "jpg", together=True),
    Print(STANDARD, {"columns": 4, "seconds": 2.5}, 100, together=True),
    Print(HALVES, {"columns": 2, "row_height": 4, "seconds": 5.0}, 100, together=True),
    Print(HALVES, {"columns": 2}, 200, together=True),
    Print(SINGLE, {"columns": 1}, 200),
    Print(HALVES, {"columns": 2, "style": "bw"}, 200, "jpg", together=True),
    Print(STANDARD, {"columns": 4, "seconds": 2.5}, 200, together=True),
    Print(HALVES, {"columns": 2, "row_height": 4, "seconds": 5.0}, 200, together=True),
)
PMECG: Final = (
    Print(STANDARD, {"template": "4x3"}, 300),
    Print([*STANDARD, ["II"]], {"template": "4x3+1", "print_information": True}),
    Print(HALVES, {"template": "2x6"}),
    Print([*HALVES, ["II"]], {"template": "2x6+1", "voltage": 5, "print_information": True}),
    Print(SINGLE, {"template": "1x12", "print_information": True}, 150),
    Print([*STANDARD, ["II"], ["V1"], ["V5"]], {"template": "4x3+3", "grid_color": "gray"}),
    Print([*STANDARD, ["II"]], {"template": "4x3+1", "voltage": 20, "print_information": True}, 150),
    Print([*STANDARD, ["II"]], {"template": "4x3+1", "speed": 50, "print_information": True}, 150),
    Print([*STANDARD, ["II"]], {"template": "4x3+1", "line_width": 1.0, "disconnect_segments": False}),
    Print(STANDARD, {"template": "4x3", "grid_mode": None, "print_information": True}),
    Print([*STANDARD, ["II"]], {"template": "4x3+1", "show_time_axis": True, "grid_color": "lightgray"}),
    Print([[lead] for lead in LEADS[:6]], {"template": "1x6"}),
    Print([*STANDARD, ["II"]], {"template": "4x3+1"}, suffix="pdf"),
)
DICOM_ECG_PLOT: Final = (
    Print([*STANDARD, ["II"]], {"layout": "3x4_1", "mm_mv": 10, "minor_axis": False}, 300),
    Print([*STANDARD, ["II"]], {"layout": "3x4_1", "mm_mv": 10, "minor_axis": True}, 300),
    Print(STANDARD, {"layout": "3x4", "mm_mv": 10, "minor_axis": True}, 300, "pdf"),
    Print(HALVES, {"layout": "6x2", "mm_mv": 10, "minor_axis": True}, 300),
    Print(HALVES, {"layout": "6x2", "mm_mv": 5, "minor_axis": False}, 300),
    Print(SINGLE, {"layout": "12x1", "mm_mv": 5, "minor_axis": True}, 300),
    Print(SINGLE, {"layout": "12x1", "mm_mv": 10, "minor_axis": False}, 300),
    Print([*STANDARD, ["II"]], {"layout": "3x4_1", "mm_mv": 20, "minor_axis": True}, 300),
    Print([*STANDARD, ["II"]], {"layout": "3x4_1", "mm_mv": 10, "minor_axis": True}, 150, "jpg"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m training others``."""
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="gets PROGRAM/CASE.png and truth/")
    parser.add_argument("--records", default="synthetic", help="as for synth: a folder of records, or 'synthetic'")
    parser.add_argument("--split", default="test", choices=SCORED_SPLITS, help="of the records (default: test)")
    parser.add_argument("--rounds", type=int, default=1, help="how often each kind of page is printed (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="which records are printed (default: 0)")


def main(args: argparse.Namespace) -> int:
    """Print the pages of all programs that are installed; return the exit code."""
    if args.rounds < 1:
        raise UserError("--rounds must be at least 1.")
    try:
        source = open_source(args.records, args.split, include_resampled=False, scoring=True)
    except (OSError, ValueError) as error:
        raise UserError(f"The records cannot be read: {error}.") from error
    records = _records(source, np.random.default_rng(args.seed))
    missing = [program for program in PROGRAMS if not _is_installed(program)]
    if len(missing) == len(PROGRAMS):
        newest = " ".join(f"'{program}'" for program in PROGRAMS if "==" not in program)
        raise UserError(f"None of {', '.join(PROGRAMS)} is installed: pip install {newest}")
    if missing:
        logger.warning("not installed, left out: %s", ", ".join(missing))
    for program, (prints, draw) in PROGRAMS.items():
        if program not in missing:
            for number in range(args.rounds * len(prints)):
                _write(args.out, program, number, prints[number % len(prints)], draw, next(records))
            logger.info("%s: %d pages in %s", program, args.rounds * len(prints), args.out)
    return 0


def _records(source: RecordSource, rng: np.random.Generator) -> Iterator[Signals]:
    """Yield ten seconds of one record after another, each lead around zero; those with artefacts are left out."""
    wanted = int(SECONDS * FS_HZ)
    for _ in range(MOST_TRIES):
        record = source[int(rng.integers(len(source)))]
        mv = record.mv[:, :wanted].astype(np.float64)
        mv -= np.median(mv, axis=1, keepdims=True)
        if record.fs == FS_HZ and mv.shape[1] == wanted and np.abs(mv).max() < MOST_MV:
            yield mv
    raise UserError("The records hold too few of ten seconds at 500 Hz.")


def _write(
    folder: Path, program: str, number: int, how: Print, draw: Callable[[Signals, Print], Drawn], mv: Signals
) -> None:
    requirement = Requirement(program)
    name = "-".join([requirement.name, *(one.version for one in requirement.specifier if one.operator == "==")])
    case = f"{name}-{number:03d}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture, shown = draw(mv, how)
    truth = io.BytesIO()
    np.savez(truth, mv=how.truth(shown).astype(np.float32), fs=FS_HZ)
    with file_group() as group:
        group.add(folder / name / f"{case}.{how.suffix}", picture)
        group.add(folder / TRUTH_FOLDER / f"{case}.npz", truth.getvalue())
    logger.debug("%s", case)


def _is_installed(program: str) -> bool:
    """Tell by the version: ecg_plot 0.3 still carries the older one's module, but draws by the newer one's rules."""
    requirement = Requirement(program)
    try:
        return requirement.specifier.contains(importlib.metadata.version(requirement.name))
    except importlib.metadata.PackageNotFoundError:
        return False


def _draw_ecg_plot(mv: Signals, how: Print) -> Drawn:
    ecg_plot: Any = importlib.import_module("ecg_plot")
    chart = ecg_plot.plot(mv, sample_rate=FS_HZ, lead_names=list(LEADS), **how.options)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"page.{how.suffix}")
        chart.save(path, dpi=how.dpi)
        return path.read_bytes(), mv


def _draw_old_ecg_plot(mv: Signals, how: Print) -> Drawn:
    """Print as version 0.2.8 does, by pyplot's one figure; all its columns show the same seconds."""
    from matplotlib import pyplot as plt

    ecg_plot: Any = importlib.import_module("ecg_plot.ecg_plot")
    options = dict(how.options)
    shown = mv[:, : round(float(options.pop("seconds", SECONDS)) * FS_HZ)]
    ecg_plot.plot(shown, sample_rate=FS_HZ, **options)
    out = io.BytesIO()
    plt.savefig(out, dpi=how.dpi, bbox_inches="tight", format=how.suffix)
    plt.close("all")
    return out.getvalue(), shown


def _draw_pmecg(mv: Signals, how: Print) -> Drawn:
    import pandas as pd
    from matplotlib import pyplot as plt

    pmecg: Any = importlib.import_module("pmecg")
    table = pd.DataFrame(dict(zip(LEADS, mv, strict=True)))
    options = dict(how.options)
    configuration = pmecg.template_factory(options.pop("template"), table, leads_map=None)
    information = pmecg.ECGInformation(hospital="General Hospital", patient_name="Jane Doe", filter="0.05-150 Hz")
    figure = pmecg.ECGPlotter(**options).plot(
        table, configuration=configuration, sampling_frequency=FS_HZ, show=False,
        information=information if options.get("print_information") else None,
    )  # fmt: skip
    out = io.BytesIO()
    figure.savefig(out, dpi=how.dpi, bbox_inches="tight", format=how.suffix)
    plt.close(figure)
    return out.getvalue(), mv


def _draw_dicom_ecg_plot(mv: Signals, how: Print) -> Drawn:
    """Print as the program does a DICOM file, low-pass filtered at 40 Hz."""
    import pydicom
    from matplotlib import pyplot as plt

    plotter: Any = importlib.import_module("ecg.plotter")
    layouts: Any = importlib.import_module("ecg.constants").DEFAULT_LAYOUT
    mv = np.asarray(lfilter(*butter(2, 40 / (0.5 * FS_HZ), btype="low"), mv, axis=1))
    mv[:, :QUIET_SAMPLES] = mv[:, QUIET_SAMPLES : QUIET_SAMPLES + 1]
    patient = pydicom.Dataset()
    patient.PatientName, patient.PatientID, patient.AcquisitionDateTime = "Doe^Jane", "0012345", "20220304101500"
    channels = [SimpleNamespace(ChannelSourceSequence=[SimpleNamespace(CodeValue=f"2:{k + 1}")]) for k in range(12)]
    reader = SimpleNamespace(
        dicom=patient, samples=mv.shape[1], duration=SECONDS, sampling_frequency=FS_HZ, channel_definitions=channels
    )
    printed = plotter.ECGPlotter(reader, mv, layouts)
    printed.draw(how.options["layout"], how.options["mm_mv"], how.options["minor_axis"], interpretation=False)
    out = io.BytesIO()
    plt.savefig(out, dpi=how.dpi, format=how.suffix)
    printed.close()
    return out.getvalue(), mv


PROGRAMS: Final[Mapping[str, tuple[tuple[Print, ...], Callable[[Signals, Print], Drawn]]]] = {
    "ecg_plot[export]>=0.3": (ECG_PLOT, _draw_ecg_plot),
    "pmecg": (PMECG, _draw_pmecg),
    "dicom-ecg-plot": (DICOM_ECG_PLOT, _draw_dicom_ecg_plot),
    "ecg_plot==0.2.8": (OLD_ECG_PLOT, _draw_old_ecg_plot),
}
"""Of each program, as pip is asked for it: its pages, and what draws one."""
