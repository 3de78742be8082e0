"""What tests of the command line get: it runs in their process, on stages that answer at once."""

import pytest

from tests import fake_stages
from tests.e2e.command_line import Run, in_process


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line on fake stages; return exit code, stdout and stderr."""
    fake_stages.install(monkeypatch)
    return in_process(capsys)
