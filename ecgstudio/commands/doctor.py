"""`ecgstudio doctor`: is this installation whole, and does it still read the bundled page as well as it should."""

from __future__ import annotations

import csv
import hashlib
import math
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, TextIO

import numpy as np
from numpy.typing import NDArray

from ecgstudio import __version__, api
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.errors import EcgStudioError, UserError
from ecgstudio.nets.weights import check_entry, read_manifest
from ecgstudio.paths import sample_folder, weights_folder
from ecgstudio.stages.classify import STATEMENT
from ecgstudio.stages.contract import Runtime

LIBRARIES: Final = (
    "torch",
    "numpy",
    "scipy",
    "opencv-python-headless",
    "scikit-image",
    "pillow",
    "pypdfium2",
    "pydicom",
    "wfdb",
    "pandas",
    "safetensors",
    "PySide6-Essentials",
    "pyqtgraph",
)

SELF_TEST_MIN_DB: Final = 15.0  # the page is clean; below this something is broken
ALIGN_S: Final = 0.05  # a start read this much too early or late does not count as noise


def run(*, device: str, self_test: bool, out: TextIO) -> bool:
    """Write what there is and what is wrong with it; return whether all is well."""
    out.write(f"ECG Studio   {__version__}\n")
    out.write(f"Python       {platform.python_version()} on {platform.platform()}\n")
    healthy = _say_libraries(out)
    healthy = _say_weights(out) and healthy
    runtime: Runtime | None = None
    try:
        runtime = api.load_runtime(device)
        out.write(f"device       {runtime.device}\n")
        out.write(f"classifier   {_classifier(runtime)}\n")
    except EcgStudioError as error:
        out.write(f"device       PROBLEM: {error}\n")
        healthy = False
    if self_test and runtime is not None:
        healthy = _say_self_test(runtime, out) and healthy
    out.write("all is well\n" if healthy else "something is wrong: see the lines marked PROBLEM\n")
    return healthy


def _say_libraries(out: TextIO) -> bool:
    healthy = True
    for name in LIBRARIES:
        try:
            found = version(name)
        except PackageNotFoundError:
            found, healthy = "PROBLEM: not installed", False
        out.write(f"library      {name} {found}\n")
    return healthy


def _say_weights(out: TextIO) -> bool:
    try:
        manifest = read_manifest(weights_folder())
    except EcgStudioError as error:
        out.write(f"weights      PROBLEM: {error}\n")
        return False
    healthy = True
    for name, entry in manifest.entries.items():
        try:
            content = check_entry(manifest, name).read_bytes()
            whole = hashlib.sha256(content).hexdigest() == entry.sha256
            words = f"{len(content) / 1e6:.1f} MB" if whole else "PROBLEM: the file was changed; install again"
        except (EcgStudioError, OSError) as error:
            whole, words = False, f"PROBLEM: {error}"
        healthy = healthy and whole
        out.write(f"weights      {name} sha256 {entry.sha256[:16]} {words}\n")
    return healthy


def _classifier(runtime: Runtime) -> str:
    """Say for what the classifier answers; weights without one are whole all the same."""
    try:
        return f"{runtime.classifier} for {', '.join(runtime.classes)} ({STATEMENT})"
    except UserError as error:
        return f"none: {error}"


def _say_self_test(runtime: Runtime, out: TextIO) -> bool:
    """Digitize the bundled page and compare the record with the truth beside it."""
    try:
        folder = sample_folder()
        truth_mv, fs = read_truth(folder / "truth.csv")
        start = time.perf_counter()
        result = api.digitize(folder / "page.png", runtime=runtime)[0]
        seconds = time.perf_counter() - start
    except (EcgStudioError, OSError, ValueError) as error:
        out.write(f"self-test    PROBLEM: the sample cannot be read: {error}\n")
        return False
    if result.record is None:
        out.write(f"self-test    PROBLEM: {result.summary}\n")
        return False
    snr_db = record_snr_db(result.record, truth_mv, fs=fs)
    passed = snr_db >= SELF_TEST_MIN_DB
    verdict = "" if passed else f"PROBLEM: below {SELF_TEST_MIN_DB:g} dB  "
    out.write(f"self-test    {verdict}SNR {snr_db:.1f} dB in {seconds:.1f} s  {result.summary}\n")
    return passed


def read_truth(path: Path) -> tuple[NDArray[np.float64], float]:
    """Read a wide CSV (`time_s` and one column per lead in mV, empty = not printed) as ([12, n], fs)."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [[float(cell) if cell else math.nan for cell in row] for row in list(csv.reader(stream))[1:]]
    table = np.array(rows, np.float64)
    return table[:, 1:].T, float(1 / np.median(np.diff(table[:, 0])))


def record_snr_db(record: EcgRecord, truth_mv: NDArray[np.float64], *, fs: float) -> float:
    """Signal-to-noise ratio over all printed samples in dB; what was not read counts as zero.

    Each lead may be shifted by up to `ALIGN_S` and by its mean: neither says anything about the shape.
    """
    signal = noise = 0.0
    time_s = np.arange(truth_mv.shape[1]) / fs
    shifts_s = np.arange(-round(ALIGN_S * fs), round(ALIGN_S * fs) + 1) / fs
    for read_mv, true_mv in zip(record.mv.astype(np.float64), truth_mv, strict=True):
        printed = np.isfinite(true_mv)
        if not printed.any():
            continue
        true = true_mv[printed] - true_mv[printed].mean()
        known = np.nan_to_num(read_mv - (np.nanmean(read_mv) if np.isfinite(read_mv).any() else 0.0))
        errors = []
        for shift_s in shifts_s:
            shifted = np.interp(time_s[printed] + shift_s, record.t_s, known)
            errors.append(float(np.sum((shifted - shifted.mean() - true) ** 2)))
        signal, noise = signal + float(np.sum(true**2)), noise + min(errors)
    return 10 * math.log10(signal / noise) if noise > 0 else math.inf
