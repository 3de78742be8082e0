"""What tests of the command line get: it runs in their process, on stages that answer at once."""

import pytest

from ecgstudio import api
from tests import fake_stages
from tests.e2e.command_line import Classifying, Run, in_process


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line on fake stages; return exit code, stdout and stderr."""
    fake_stages.install(monkeypatch)
    return in_process(capsys)


@pytest.fixture
def classifying(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line on fake stages and a fake classifier."""
    monkeypatch.setattr(api, "load_runtime", lambda device="auto", weights_folder=None: Classifying())
    return run
