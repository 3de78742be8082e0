"""The application itself, in a process of its own, with its networks: used, then quit. It must say nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ecgstudio.paths import sample_folder
from tests.gui.conftest import NO_SCREEN

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300


@pytest.mark.parametrize("when", [[], ["during"]], ids=["after use", "during work"])
def test_the_application_ends_with_exit_code_0_and_without_a_word(tmp_path: Path, when: list[str]) -> None:
    homes = {name: str(tmp_path / name) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")}
    environment = {**os.environ, **homes, "QT_QPA_PLATFORM": "offscreen", "PYTHONFAULTHANDLER": "1"}
    command = [sys.executable, "-W", "error::ResourceWarning", "-m", "tests.gui.drive"]
    done = subprocess.run(
        [*command, str(sample_folder() / "page.png"), *when],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if line != NO_SCREEN]
    assert (done.returncode, said, done.stdout) == (0, [], "")
