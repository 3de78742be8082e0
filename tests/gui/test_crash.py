"""The window is killed in the middle of an edit: the next one brings back what is older than five seconds."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from tests import fake_stages
from tests.gui.workstation import Bench, write_page

PROMISED_S = 5.0
WORK_S = 7.0

WORKING = """
import sys
import time
from pathlib import Path
import pytest
from PySide6.QtCore import QTimer
from ecgstudio.gui.app import make_application
from ecgstudio.gui.main_window import MainWindow
from tests import fake_stages
fake_stages.install(pytest.MonkeyPatch())
app = make_application()
window = MainWindow(load_runtime=lambda device: fake_stages.NoNetworks())
window.show()
window.start((Path(sys.argv[1]),))
done = 0
def edit():
    global done
    if window.bridge.current is not None:
        done += 1
        window.bridge.comment(str(done))
        print(done, time.monotonic(), flush=True)
timer = QTimer(window)
timer.timeout.connect(edit)
timer.start(50)
app.exec()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("saved", [True, False])
def test_a_killed_window_loses_at_most_five_seconds(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, saved: bool
) -> None:
    fake_stages.install(monkeypatch)
    what = write_page(tmp_path / "scan.png")
    if saved:
        first = Bench(qtbot, tmp_path)
        first.open(what)
        first.script.save_to = what = tmp_path / "p.ecgproj"
        assert first.window.files.save()
        first.window.close()
    edits: list[tuple[int, float]] = []
    command = [sys.executable, "-c", WORKING, str(what)]
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            number, at_s = line.split()
            edits.append((int(number), float(at_s)))
            if edits[-1][1] - edits[0][1] > WORK_S:
                process.send_signal(signal.SIGKILL)
                killed_s = time.monotonic()
                break
    again = Bench(qtbot, tmp_path)
    again.open(*([what] if saved else []))
    assert len(again.script.asked) == 1
    kept = int(again.window.bridge.corrections.comment)
    assert kept >= max(number for number, at_s in edits if at_s < killed_s - PROMISED_S)
    assert [record.text for record in again.window.bridge.session.audit].count("Comment") == kept
