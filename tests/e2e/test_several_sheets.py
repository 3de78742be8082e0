"""Two ECGs in one picture, from the command line: each becomes a record of its own, and none is a mixture."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import wfdb

from ecgstudio import api
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LEADS
from ecgstudio.core.page import Page
from ecgstudio.stages import stage0_keypoints
from ecgstudio.stages.contract import Image, KeypointMaps, StageError, Status
from tests import fake_stages
from tests.e2e.command_line import Run, contents, draw, files, in_process
from tests.several_sheets import SHEET_PX, beside, detect_on_each
from tests.synth_page import OUTSIDE, PRINT_LEVELS, PX_PER_MM, TruthRuntime, synth_page

GAP_MM = 4.0


@pytest.fixture
def reading(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line on fake stages that see every sheet of a picture."""
    monkeypatch.setattr(stage0_keypoints, "detect_keypoints", detect_on_each)
    return run


def test_each_ecg_of_a_picture_becomes_a_record_and_a_line(reading: Run, tmp_path: Path) -> None:
    code, out, err = reading("digitize", beside(tmp_path / "a.png", 255, 250), "-o", tmp_path / "out")
    assert code == 0
    assert [line.partition(": ")[0] for line in out.splitlines()] == ["a-1", "a-2"]
    assert all("3x4  25 mm/s 10 mm/mV  conf 0.97" in line for line in out.splitlines())
    assert err.startswith("ecgstudio: 2 pages: 2 ")
    assert files(tmp_path / "out") == [f"a-{n}.{kind}" for n in (1, 2) for kind in ("csv", "dat", "hea", "json")]


def test_the_report_tells_the_picture_and_the_box_in_it(reading: Run, tmp_path: Path) -> None:
    _, out, _ = reading("digitize", beside(tmp_path / "a.png", 255, 250), "-o", tmp_path / "out", "--json")
    reports = [json.loads((tmp_path / "out" / f"a-{number}.json").read_text()) for number in (1, 2)]
    assert [json.loads(line)["stem"] for line in out.splitlines()] == ["a-1", "a-2"]
    boxes = [report["picture"]["box_px"] for report in reports]
    assert boxes[0]["left"] == 0
    assert boxes[0]["right"] == boxes[1]["left"]
    assert boxes[1]["right"] == 2 * SHEET_PX
    assert {box["bottom"] for box in boxes} == {200}
    assert [report["source"] for report in reports] == ["a.png, ECG 1 of 2", "a.png, ECG 2 of 2"]
    assert {report["picture"]["source"] for report in reports} == {"a.png"}
    assert reports[0]["page"]["sha256"] != reports[1]["page"]["sha256"]
    assert len(reports[0]["picture"]["outline_px"]) == 4


def test_three_ecgs_and_an_ordinary_page_are_counted_together(reading: Run, tmp_path: Path) -> None:
    picture, page = beside(tmp_path / "a.png", 255, 250, 245), draw(tmp_path / "b.png", shade=240)
    code, _, err = reading("digitize", picture, page, "-o", tmp_path / "out", "--format", "csv")
    assert code == 0
    assert err.startswith("ecgstudio: 4 pages: 4 ")
    assert files(tmp_path / "out") == ["a-1.csv", "a-2.csv", "a-3.csv", "b.csv"]


def test_a_name_that_another_page_has_is_not_taken(reading: Run, tmp_path: Path) -> None:
    picture, other = beside(tmp_path / "a.png", 255, 250), draw(tmp_path / "A-2.png", shade=240)
    code, _, _ = reading("digitize", picture, other, "-o", tmp_path / "out", "--format", "csv")
    assert code == 0
    assert files(tmp_path / "out") == ["A-2.csv", "a-ecg1.csv", "a-ecg2.csv"]


def test_a_result_that_is_there_is_kept_and_the_other_ecg_written(reading: Run, tmp_path: Path) -> None:
    picture, out = beside(tmp_path / "a.png", 255, 250), tmp_path / "out"
    out.mkdir()
    (out / "a-1.csv").write_text("mine")
    code, said, err = reading("digitize", picture, "-o", out)
    assert code == 1
    assert "a.png, ECG 1 of 2: failed" in said
    assert "exists already" in said
    assert (out / "a-1.csv").read_text() == "mine"
    assert files(out) == ["a-1.csv", "a-2.csv", "a-2.dat", "a-2.hea", "a-2.json"]
    assert "1 failed" in err
    code, _, _ = reading("digitize", picture, "-o", out, "--overwrite")
    assert code == 0
    assert (out / "a-1.csv").read_text() != "mine"


def test_a_second_run_gives_the_same_bytes(reading: Run, tmp_path: Path) -> None:
    picture = beside(tmp_path / "a.png", 255, 250)
    for folder in ("first", "second"):
        reading("digitize", picture, "-o", tmp_path / folder, "--format", "csv,wfdb")
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_one_stage_alone_reads_each_ecg_too(reading: Run, tmp_path: Path) -> None:
    picture = beside(tmp_path / "a.png", 255, 250)
    code, _, _ = reading("digitize", picture, "-o", tmp_path / "out", "--stage", "1")
    assert code == 0
    assert files(tmp_path / "out") == [f"a-{n}-stage1{end}" for n in (1, 2) for end in ("-overlay.png", ".json")]
    assert json.loads((tmp_path / "out" / "a-2-stage1.json").read_text())["picture"]["source"] == "a.png"


def test_the_python_door_returns_one_result_per_ecg(reading: Run, tmp_path: Path) -> None:
    results = api.digitize(beside(tmp_path / "a.png", 255, 250), runtime=fake_stages.NoNetworks())
    assert [result.stem for result in results] == ["a-1", "a-2"]
    assert all(result.record is not None for result in results)


def test_a_picture_that_is_handed_over_as_one_page_is_no_mixture(reading: Run, tmp_path: Path) -> None:
    """Whoever asks for the page as a whole, as a project does, is told."""
    picture = cv2.imread(str(beside(tmp_path / "a.png", 255, 250)))
    page = api.page_from_array(np.asarray(picture, np.uint8))
    result = api.digitize_page(page, stem="a", runtime=fake_stages.NoNetworks())
    assert result.record is None
    assert str(result.summary.failure) == "grid: 2 ECGs are in this picture (make each a page of its own)"


# --- with all stages at work -----------------------------------------------------------------------------------


class TwoSheets(TruthRuntime):
    """Perfect networks for a picture that shows the same sheet twice, side by side."""

    def keypoints(self, image: Image) -> KeypointMaps:
        if image.shape[1] < 1.6 * image.shape[0]:
            return TruthRuntime.keypoints(self, image)
        middle = image.shape[1] // 64 * 32
        left, right = (TruthRuntime.keypoints(self, half) for half in (image[:, :middle], image[:, middle:]))
        labels = np.concatenate([left.labels, right.labels], axis=2)
        return KeypointMaps(labels, left.orientation, np.concatenate([left.geometry, right.geometry], axis=2))


def test_both_sheets_of_a_picture_are_read_as_they_were_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = synth_page("3x4+1", font="STIXGeneralItalic")
    pixels = one.page.pixels
    desk = np.empty((pixels.shape[0], round(GAP_MM * PX_PER_MM), 3), np.uint8)
    desk[:] = (OUTSIDE, PRINT_LEVELS, PRINT_LEVELS)  # like a page's own frame
    picture = np.hstack([pixels, desk, pixels])
    assert cv2.imwrite(str(tmp_path / "open binder.png"), picture[..., ::-1])
    monkeypatch.setattr(api, "load_runtime", lambda device="auto", weights_folder=None: TwoSheets(one))
    code, out, _ = in_process(capsys)(
        "digitize", tmp_path / "open binder.png", "-o", tmp_path / "out", "--layout", "3x4+1"
    )
    assert code == 0, out
    [alone] = api.digitize(one.page, runtime=TruthRuntime(one))
    assert alone.record is not None
    for number in (1, 2):
        record = wfdb.rdrecord(str(tmp_path / "out" / f"open_binder-{number}"))
        assert record.sig_name == list(LEADS)
        printed = np.isfinite(alone.record.mv)
        both = printed & np.isfinite(record.p_signal.T)
        assert both.sum() > 0.98 * printed.sum()
        away = (record.p_signal.T - alone.record.mv)[both]
        assert float(np.sqrt(np.mean(away**2))) < 0.02


def test_a_part_that_cannot_be_read_does_not_stop_the_other(
    reading: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def detect(page: Page, *, status: Status, **_: object) -> Keypoints:
        if page.source.endswith("ECG 2 of 2"):
            raise StageError("keypoints", "there is no ECG on this page", "check the file")
        return detect_on_each(page, status=status)

    monkeypatch.setattr(stage0_keypoints, "detect_keypoints", detect)
    code, out, err = reading("digitize", beside(tmp_path / "a.png", 255, 250), "-o", tmp_path / "out")
    assert code == 1
    assert [line.split(":")[0] for line in out.splitlines()] == ["a-1", "a-2"]
    assert "1 failed (a-2)" in err
