"""What every test gets: its own home folder, a log that must stay silent, and a page to work on."""

import logging
from collections.abc import Iterator

import hypothesis
import numpy as np
import pytest

from ecgstudio.core.page import Page, PageId

# a busy machine is no failure
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep settings and caches of the person who runs the tests out of them, and theirs out of ours."""
    home = tmp_path_factory.mktemp("home")
    for variable in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(home))


class _Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def _silent_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a warning in the log, unless it is marked `logs`."""
    handler = _Warnings()
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)
    if handler.messages and request.node.get_closest_marker("logs") is None:
        pytest.fail("unexpected in the log: " + "; ".join(handler.messages))


@pytest.fixture
def page() -> Page:
    """An empty white page of 40 x 60 pixels."""
    return Page(PageId("0" * 64, 0), np.full((40, 60, 3), 255, np.uint8), 200.0, "page.png")
