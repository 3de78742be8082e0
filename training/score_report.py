"""The tables of an evaluation, made once from the pages' scores: the same numbers as text, JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from ecgstudio.core.leads import KEYPOINT_NAMES, LEADS
from ecgstudio.stages.report import plain
from training.metrics import CONFIDENCE_EDGES, Reliability, no_samples, roc_auc, summarize_db
from training.oracle import FOUND, RUNGS
from training.page_score import PageScore
from training.stage_metrics import NameCount, StageScores

BAD_PAGE_DB: Final = 10.0
SURE: Final = 0.95
ALL: Final = "ALL"
WORST_SHOWN: Final = 12
GRID_LOST_MM: Final = 1.0
VERDICTS: Final = ("ok", "review", "failed")
LOSSES: Final = ("keypoints", "scale", "grid", "layout", "ends", "trace", "outside")
"""What each rung of the oracle gains, under the name of what lost it; "trace" is what only the true ink mends, and
"outside" what the picture does not show."""


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column: its name, and how its numbers are written as text."""

    name: str
    form: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns over rows of plain values; NaN where there is nothing to say."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[object, ...], ...]

    def text(self) -> str:
        """Write the table as aligned text: words to the left, numbers to the right."""
        cells = [[column.name for column in self.columns]]
        for row in self.rows:
            cells.append([_cell(value, column.form) for value, column in zip(row, self.columns, strict=True)])
        widths = [max(len(line[i]) for line in cells) for i in range(len(self.columns))]
        lines = [
            "  ".join(
                cell.rjust(width) if column.form else cell.ljust(width)
                for cell, width, column in zip(line, widths, self.columns, strict=True)
            ).rstrip()
            for line in cells
        ]
        return "\n".join([self.title, *(f"  {line}" for line in lines), ""])

    def as_json(self) -> list[dict[str, object]]:
        """Return one mapping per row."""
        names = [column.name for column in self.columns]
        return [{name: plain(value) for name, value in zip(names, row, strict=True)} for row in self.rows]


def _cell(value: object, form: str) -> str:
    if isinstance(value, float) and not np.isfinite(value):
        return "-"
    return format(value, form) if form else str(value)


def make_tables(scores: Sequence[PageScore]) -> list[Table]:
    """Return every table for which these pages have something to say."""
    scored = [score for score in scores if np.isfinite(score.snr_db)]
    unscored = [score for score in scores if not np.isfinite(score.snr_db)]
    tables: list[Table] = []
    if scored:
        tables += [score_table(scored), verdict_table(scored), reliability_table(scored), trust_table(scored)]
    if any(score.stages is not None for score in scored):
        tables += [stage_table(scored), label_table(scored)]
    if any(score.rungs for score in scored):
        tables += [rung_table(scored), loss_table(scored)]
    if scored:
        tables.append(worst_table(scored))
    if unscored:
        tables.append(unscored_table(unscored))
    return tables


def by_tier(scores: Sequence[PageScore]) -> Iterator[tuple[str, list[PageScore]]]:
    """Yield each tier's pages, then all of them."""
    for tier in sorted({score.tier for score in scores}):
        yield tier, [score for score in scores if score.tier == tier]
    yield ALL, list(scores)


# --- the page as a whole ------------------------------------------------------------------------------------


def score_table(scores: Sequence[PageScore]) -> Table:
    """SNR and verdicts per tier."""
    rows = []
    for tier, pages in by_tier(scores):
        s = summarize_db([page.snr_db for page in pages])
        verdicts = [sum(page.status == verdict for page in pages) for verdict in VERDICTS]
        seconds = float(np.median([page.seconds for page in pages]))
        rows.append((tier, s.pages, s.mean_db, s.median_db, s.min_db, s.aggregate_db, s.failures, *verdicts, seconds))
    numbers = ("mean_db", "median_db", "min_db", "aggregate_db")
    return Table(
        "scores",
        "SNR per tier (aggregate: the challenge's)",
        (
            Column("tier"),
            Column("pages", "d"),
            *(Column(name, ".2f") for name in numbers),
            *(Column(name, "d") for name in ("below_5db", *VERDICTS)),
            Column("median_s", ".1f"),
        ),
        tuple(rows),
    )


def verdict_table(scores: Sequence[PageScore]) -> Table:
    """What the pipeline's own verdict says about the SNR."""
    rows = []
    for verdict in VERDICTS:
        db = [score.snr_db for score in scores if score.status == verdict]
        s = summarize_db(db)
        rows.append((verdict, s.pages, s.mean_db, s.min_db, sum(each < BAD_PAGE_DB for each in db)))
    columns = (
        Column("status"),
        Column("pages", "d"),
        Column("mean_db", ".2f"),
        Column("min_db", ".2f"),
        Column("below_10db", "d"),
    )
    return Table("verdicts", "SNR by the page's own verdict", columns, tuple(rows))


def worst_table(scores: Sequence[PageScore]) -> Table:
    """The pages to look at first."""
    rows = [
        (
            score.name,
            score.tier,
            score.snr_db,
            score.status,
            score.confidence,
            score.stages.printed_layout if score.stages is not None else "",
            score.layout,
            max(losses(score).items(), key=lambda item: item[1])[0] if score.rungs else "",
            "; ".join(score.reasons),
        )
        for score in worst_pages(scores)
    ]
    names = ("name", "tier", "snr_db", "status", "confidence", "printed", "layout", "loses_most", "reasons")
    forms = {"snr_db": ".1f", "confidence": ".2f"}
    return Table("worst", "Worst pages", tuple(Column(name, forms.get(name, "")) for name in names), tuple(rows))


def worst_pages(scores: Iterable[PageScore]) -> list[PageScore]:
    """Return the pages of the lowest SNR; where there is no truth, of the worst verdict and lowest confidence."""
    return sorted(scores, key=lambda s: (np.nan_to_num(s.snr_db), -suspicion(s), s.name))[:WORST_SHOWN]


def unscored_table(scores: Sequence[PageScore]) -> Table:
    """What pages without truth say about themselves."""
    rows = [
        (s.name, s.tier, s.status, s.layout, s.confidence, s.einthoven_db, s.twin, "; ".join(s.reasons))
        for s in sorted(scores, key=lambda s: (s.tier, s.name))
    ]
    names = ("name", "tier", "status", "layout", "confidence", "einthoven_db", "twin", "reasons")
    forms = {"confidence": ".2f", "einthoven_db": ".1f"}
    columns = tuple(Column(name, forms.get(name, "")) for name in names)
    return Table("unscored", "Pages without truth", columns, tuple(rows))


# --- what confidences are worth -----------------------------------------------------------------------------


def total_reliability(scores: Iterable[PageScore]) -> Reliability:
    """Add up all pages' samples."""
    total = no_samples()
    for score in scores:
        total += score.reliability
    return total


def reliability_table(scores: Sequence[PageScore]) -> Table:
    """Share of samples within 50 uV by their confidence."""
    total = total_reliability(scores)
    rows = []
    for index, low in enumerate(CONFIDENCE_EDGES[:-1]):
        count = int(total.samples[index])
        mean, kept = (float(sums[index] / count) if count else np.nan for sums in (total.confidence, total.good))
        rows.append((f"{low:.2f}-{CONFIDENCE_EDGES[index + 1]:.2f}", count, mean, kept))
    columns = (Column("confidence"), Column("samples", "d"), Column("mean", ".3f"), Column("within_50uv", ".3f"))
    return Table("reliability", "Reliability of the samples' confidence", columns, tuple(rows))


def suspicion(score: PageScore) -> float:
    """Return how bad the pipeline itself thinks a page is: its verdict first, then its confidence."""
    return VERDICTS.index(score.status) + _doubt(score)


def _doubt(score: PageScore) -> float:
    return 1.0 - float(np.nan_to_num(score.confidence))


def trust_table(scores: Sequence[PageScore]) -> Table:
    """Calibration in one number, the promise of the surest samples, and how well bad pages are told from good ones."""
    total = total_reliability(scores)
    count, kept = total.kept_from(SURE)
    bad = [score.snr_db < BAD_PAGE_DB for score in scores]
    by: tuple[Callable[[PageScore], float], ...] = (lambda s: VERDICTS.index(s.status), _doubt, suspicion)
    aucs = [roc_auc([measure(score) for score in scores], bad) for measure in by]
    row = (total.calibration_error, count, kept, sum(bad), *aucs)
    names = ("calibration_error", "sure_samples", "sure_within_50uv", "pages_below_10db")
    forms = (".3f", "d", ".3f", "d")
    columns = [Column(name, form) for name, form in zip(names, forms, strict=True)]
    columns += [Column(f"auc_{what}", ".3f") for what in ("status", "confidence", "both")]
    title = "Trust: samples called >= 95 % sure; AUC for a page below 10 dB"
    return Table("trust", title, tuple(columns), (row,))


# --- stage by stage -----------------------------------------------------------------------------------------


def stage_table(scores: Sequence[PageScore]) -> Table:
    """Each stage in its own terms, per tier; shares of pages unless the name says otherwise."""
    rows = []
    for tier, pages in by_tier([score for score in scores if score.stages is not None]):
        stages = [page.stages for page in pages if page.stages is not None]
        leads, markers = (_counts(stages, names) for names in (LEADS, KEYPOINT_NAMES[len(LEADS) :]))
        medians, p95s = (np.array([getattr(s, name) for s in stages]) for name in ("grid_median_mm", "grid_p95_mm"))
        rows.append(
            (
                tier,
                len(stages),
                _share([s.orientation for s in stages]),
                *(_ratio(count.right, total) for count in (leads, markers) for total in (count.printed, count.found)),
                _median(medians),
                _median(p95s),
                _share([not p95 <= GRID_LOST_MM for p95 in p95s]),
                _share([s.speed for s in stages]),
                _share([s.gain for s in stages]),
                _ratio(sum(s.leads_placed for s in stages), sum(s.leads_printed for s in stages)),
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
        c = _counts(stages, (name,))
        rows.append((name, c.printed, c.found, _ratio(c.right, c.printed), _ratio(c.right, c.found)))
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
    rows = [
        (tier, len(pages), *(float(np.mean([page.rungs[rung] for page in pages])) for rung in RUNGS))
        for tier, pages in by_tier([score for score in scores if score.rungs])
    ]
    columns = (Column("tier"), Column("pages", "d"), *(Column(rung, ".2f") for rung in RUNGS))
    title = "Mean SNR in dB with the truth up to each step (sheet: the decoder's ceiling)"
    return Table("rungs", title, columns, tuple(rows))


def loss_table(scores: Sequence[PageScore]) -> Table:
    """Mean dB that each part of the pipeline loses."""
    names = ("orientation", *LOSSES)
    rows = []
    for tier, pages in by_tier([score for score in scores if score.rungs]):
        lost = [losses(page) for page in pages]
        ceiling = float(np.mean([page.rungs[RUNGS[-1]] for page in pages]))
        rows.append((tier, len(pages), *(float(np.mean([each[name] for each in lost])) for name in names), ceiling))
    columns = (Column("tier"), Column("pages", "d"), *(Column(name, ".2f") for name in names), Column("ceiling", ".2f"))
    return Table("losses", "Mean dB lost by (negative: the truth there does not help)", columns, tuple(rows))


def losses(score: PageScore) -> dict[str, float]:
    """Return the dB that each part loses on a page; a page held the wrong way up loses by its orientation."""
    gains = [score.rungs[after] - score.rungs[before] for before, after in pairwise(RUNGS)]
    lost = {"orientation": 0.0, **dict(zip(LOSSES, gains, strict=True))}
    if score.stages is not None and not score.stages.orientation:
        lost["orientation"], lost["keypoints"] = lost["keypoints"], 0.0
    return lost


def _counts(stages: Iterable[StageScores], names: Sequence[str]) -> NameCount:
    total = NameCount()
    for stage in stages:
        for name in names:
            total += stage.labels.get(name, NameCount())
    return total


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _share(said: Sequence[bool]) -> float:
    return _ratio(sum(said), len(said))


def _median(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


# --- page by page -------------------------------------------------------------------------------------------


def pages_csv(scores: Sequence[PageScore]) -> str:
    """Write one line per page with all that is known about it."""
    out = io.StringIO()
    lines = [_line(score) for score in scores]
    writer = csv.DictWriter(out, list(dict.fromkeys(name for line in lines for name in line)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _line(score: PageScore) -> dict[str, object]:
    line: dict[str, object] = {
        "name": score.name,
        "tier": score.tier,
        "status": score.status,
        "confidence": score.confidence,
        "layout": score.layout,
        "seconds": score.seconds,
        "einthoven_db": score.einthoven_db,
        "twin": score.twin,
        "snr_db": score.snr_db,
        **{f"{lead}_db": score.lead_db.get(lead, np.nan) for lead in LEADS},
    }
    if score.stages is not None:
        count = _counts([score.stages], LEADS)
        stages = {name: value for name, value in asdict(score.stages).items() if name != "labels"}
        line |= stages | {"names_printed": count.printed, "names_found": count.found, "names_right": count.right}
    if score.rungs:
        line |= {f"{rung}_rung_db": score.rungs[rung] for rung in RUNGS if rung != FOUND}
    line["reasons"] = "; ".join(score.reasons)
    return {name: _plain_cell(value) for name, value in line.items()}


def _plain_cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.4g}" if np.isfinite(value) else ""
    return value
