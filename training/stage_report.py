"""What each stage got right and what it lost, in tables: its own terms, printed names, and the error budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.leads import KEYPOINT_NAMES, LEADS
from training.oracle import CEILING, ROUND_TRIP, RUNGS
from training.page_score import PageScore, by_layout, by_tier
from training.report_table import Column, Table, ratio
from training.stage_metrics import NameCount, StageScores

GRID_LOST_MM: Final = 1.0
LOSSES: Final = ("orientation", "keypoints", "scale", "grid", "layout", "time", "trace", "decode", "outside")
"""What each rung of the oracle gains, under the name of what lost it; "outside" is what the picture does not show."""


def stage_tables(scores: Sequence[PageScore]) -> list[Table]:
    """Return the tables for which these pages have something to say."""
    tables = []
    if any(score.stages is not None for score in scores):
        tables += [stage_table(scores), label_table(scores)]
    if budgeted := [score for score in scores if score.rungs]:
        tables += [rung_table(budgeted), loss_table(budgeted), layout_loss_table(budgeted)]
    return tables


def stage_table(scores: Sequence[PageScore]) -> Table:
    """Each stage in its own terms, per tier; shares of pages unless the name says otherwise."""
    rows = []
    for tier, pages in by_tier([score for score in scores if score.stages is not None]):
        stages = [page.stages for page in pages if page.stages is not None]
        leads, markers = (count_names(stages, names) for names in (LEADS, KEYPOINT_NAMES[len(LEADS) :]))
        medians, p95s = (np.array([getattr(s, name) for s in stages]) for name in ("grid_median_mm", "grid_p95_mm"))
        rows.append(
            (
                tier,
                len(stages),
                _share([s.orientation for s in stages]),
                *(ratio(count.right, total) for count in (leads, markers) for total in (count.printed, count.found)),
                _median(medians),
                _median(p95s),
                _share([not p95 <= GRID_LOST_MM for p95 in p95s]),
                _share([s.speed for s in stages]),
                _share([s.gain for s in stages]),
                ratio(sum(s.leads_placed for s in stages), sum(s.leads_printed for s in stages)),
                sum(s.leads_invented for s in stages),
                _share([s.all_placed for s in stages]),
            )
        )
    names = (
        "oriented", "name_recall", "name_precision", "marker_recall", "marker_precision", "grid_median_mm",
        "grid_p95_mm", "grid_over_1mm", "speed", "gain", "leads_placed", "leads_invented", "all_placed",
    )  # fmt: skip
    columns = [Column(name, "d" if name == "leads_invented" else ".3f") for name in names]
    title = "Stages (grid: median over pages of each page's median and 95th percentile)"
    return Table("stages", title, (Column("tier"), Column("pages", "d"), *columns), tuple(rows))


def label_table(scores: Sequence[PageScore]) -> Table:
    """Recall and precision of each printed name."""
    stages = [score.stages for score in scores if score.stages is not None]
    rows = []
    for name in KEYPOINT_NAMES:
        c = count_names(stages, (name,))
        rows.append((name, c.printed, c.found, ratio(c.right, c.printed), ratio(c.right, c.found)))
    columns = (
        Column("name"),
        Column("printed", "d"),
        Column("found", "d"),
        Column("recall", ".3f"),
        Column("precision", ".3f"),
    )
    return Table("labels", "Printed names and markers", columns, tuple(rows))


def rung_table(scores: Sequence[PageScore]) -> Table:
    """Mean SNR as the truth replaces one answer after the other."""
    rungs = (*RUNGS, ROUND_TRIP)
    rows = [
        (tier, len(pages), *(_mean([page.rungs[rung] for page in pages]) for rung in rungs))
        for tier, pages in by_tier(scores)
    ]
    columns = (Column("tier"), Column("pages", "d"), *(Column(rung, ".2f") for rung in rungs))
    title = (
        f"Mean SNR in dB with the truth up to each step ({CEILING}: the ceiling of sampling; {ROUND_TRIP}: the ideal "
        "network's answer for the whole sheet, decoded)"
    )
    return Table("rungs", title, columns, tuple(rows))


def loss_table(scores: Sequence[PageScore]) -> Table:
    """Mean dB that each part of the pipeline loses, per tier."""
    title = "Mean dB lost by (negative: the truth there does not help)"
    return _loss_table("losses", title, "tier", by_tier(scores))


def layout_loss_table(scores: Sequence[PageScore]) -> Table:
    """Mean dB that each part of the pipeline loses, per printed layout."""
    return _loss_table("losses_by_layout", "Mean dB lost, by printed layout", "printed", by_layout(scores))


def _loss_table(key: str, title: str, group: str, groups: Iterable[tuple[str, list[PageScore]]]) -> Table:
    rows = []
    for name, pages in groups:
        lost = [losses(page) for page in pages]
        ends = (_mean([page.rungs[rung] for page in pages]) for rung in (RUNGS[0], ROUND_TRIP, CEILING))
        rows.append((name, len(pages), *(_mean([each[loss] for each in lost]) for loss in LOSSES), *ends))
    numbers = (*LOSSES, "snr_db", ROUND_TRIP, "ceiling")
    return Table(
        key, title, (Column(group), Column("pages", "d"), *(Column(name, ".2f") for name in numbers)), tuple(rows)
    )


def losses(score: PageScore) -> dict[str, float]:
    """Return the dB that each part loses on a page."""
    gains = [score.rungs[after] - score.rungs[before] for before, after in pairwise(RUNGS)]
    return dict(zip(LOSSES, gains, strict=True))


def count_names(stages: Iterable[StageScores], names: Sequence[str]) -> NameCount:
    """Add up what was printed and found under these names."""
    total = NameCount()
    for stage in stages:
        for name in names:
            total += stage.labels.get(name, NameCount())
    return total


def _share(said: Sequence[bool]) -> float:
    return ratio(sum(said), len(said))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _median(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
