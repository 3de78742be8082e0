"""Other programs' pages come with the truth of what each of them shows, and none comes without it."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
import pytest

from ecgstudio.core.leads import LEADS
from training import others
from training.cli import main
from training.others import DICOM_ECG_PLOT, ECG_PLOT, HALVES, OLD_ECG_PLOT, PMECG, STANDARD, Drawn, Print, Signals

MV = np.arange(12 * 5000, dtype=np.float64).reshape(12, 5000)


def shown(how: Print, lead: str) -> tuple[int, int]:
    """Return the first sample of a lead that is shown, and the first that is not any more."""
    truth = how.truth(MV)[LEADS.index(lead)]
    there = np.flatnonzero(np.isfinite(truth))
    np.testing.assert_array_equal(truth[there], MV[LEADS.index(lead)][there])
    assert len(there) == there[-1] + 1 - there[0]
    return int(there[0]), int(there[-1]) + 1


def test_the_truth_is_what_a_page_shows() -> None:
    assert [shown(Print(STANDARD), lead) for lead in ("II", "aVR", "V6")] == [(0, 1250), (1250, 2500), (3750, 5000)]
    assert shown(Print([*STANDARD, ["II"]]), "II") == (0, 5000)
    assert shown(Print([*STANDARD, ["II"]]), "I") == (0, 1250)
    assert shown(Print(HALVES), "V1") == (2500, 5000)
    assert shown(Print(HALVES, together=True), "V1") == (0, 5000)
    assert np.isnan(Print([["I"]]).truth(MV)[1:]).all()


@pytest.mark.parametrize("how", [*ECG_PLOT, *OLD_ECG_PLOT, *PMECG, *DICOM_ECG_PLOT])
def test_every_page_shows_leads(how: Print) -> None:
    truth = how.truth(MV)
    assert np.isfinite(truth).any(axis=1).sum() in (6, 12)


def draw(mv: Signals, how: Print) -> Drawn:
    return b"a page " + str(how.dpi).encode(), mv + 1


def fail(mv: Signals, how: Print) -> Drawn:
    raise ValueError("cannot draw")


@pytest.fixture(autouse=True)
def _fake_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name != "fake":
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.2.8"

    monkeypatch.setattr(importlib.metadata, "version", version)


@pytest.mark.logs("what is not installed")
def test_pages_and_truths_appear_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prints = Print(STANDARD, dpi=100), Print(HALVES, dpi=200, suffix="pdf")
    monkeypatch.setattr(
        others,
        "PROGRAMS",
        {
            "fake[all]": (prints, draw),
            "fake==0.2.8": (prints, draw),
            "fake>=0.3": (prints, fail),
            "lost": (prints, fail),
        },
    )
    assert main(["others", "--out", str(tmp_path), "--rounds", "2"]) == 0
    pages = sorted(path.name for path in (tmp_path / "fake").iterdir())
    assert pages == ["fake-000.png", "fake-001.pdf", "fake-002.png", "fake-003.pdf"]
    assert (tmp_path / "fake" / "fake-001.pdf").read_bytes() == b"a page 200"
    assert len(list((tmp_path / "fake-0.2.8").glob("fake-0.2.8-00?.*"))) == 4
    truths = [np.load(tmp_path / "truth" / f"fake-{number:03}.npz") for number in range(4)]
    assert all(truth["mv"].shape == (12, 5000) and truth["fs"] == 500.0 for truth in truths)
    assert np.isfinite(truths[0]["mv"]).sum() == 12 * 1250
    assert not np.array_equal(truths[0]["mv"], truths[2]["mv"], equal_nan=True)
    again = tmp_path / "again"
    assert main(["others", "--out", str(again)]) == 0
    np.testing.assert_array_equal(np.load(again / "truth" / "fake-000.npz")["mv"], truths[0]["mv"])


def test_a_program_that_fails_leaves_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others, "PROGRAMS", {"fake": ((Print(STANDARD),), fail)})
    with pytest.raises(ValueError, match="cannot draw"):
        main(["others", "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.mark.logs("the error messages")
@pytest.mark.parametrize(("options", "words"), [
    (["--rounds", "0"], "--rounds must be at least 1"),
    (["--records", "/no/such/folder"], "The records cannot be read"),
    ([], "is installed: pip install"),
])  # fmt: skip
def test_bad_input_gets_one_clear_line(
    options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(others, "PROGRAMS", {"lost": ((), fail)})
    assert main(["others", "--out", str(tmp_path), *options]) == 1
    (record,) = caplog.records
    assert words in record.getMessage()
    assert "\n" not in record.getMessage()
    assert not list(tmp_path.iterdir())
