"""The line that the console prints about a page."""

from dataclasses import replace
from math import nan

from ecgstudio.stages.contract import Failed
from ecgstudio.stages.report import Summary

READ = Summary("ok", (), None, "3x4", 25.0, 10.0, 0.97, 0.01)


def test_a_page_that_was_read_says_its_layout_and_scale() -> None:
    assert str(READ) == "ok  3x4  25 mm/s 10 mm/mV  conf 0.97"
    assert str(replace(READ, status="review", reasons=("one", "two"))).endswith("conf 0.97  one; two")


def test_a_failed_page_claims_no_scale() -> None:
    """What its grid stage assumed was never seen on the page."""
    failure = Failed("traces", "no ECG strip could be followed")
    failed = replace(READ, status="failed", reasons=(str(failure),), failure=failure, layout="", confidence=nan)
    assert str(failed) == f"failed  {failure}"
