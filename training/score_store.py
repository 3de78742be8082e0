"""Scores kept page by page in a folder, so that an evaluation that was stopped goes on where it was."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from ecgstudio.io.atomic import write_text
from ecgstudio.io.codec import CodecError, decode, encode
from ecgstudio.io.export import safe_name
from ecgstudio.stages.report import plain
from training.metrics import CONFIDENCE_EDGES, Reliability
from training.page_score import PageScore, PageTask
from training.stage_metrics import NameCount, StageScores

logger = logging.getLogger(__name__)

SCORES: Final = "scores"
FORMAT: Final = 1
_NUMBERS: Final = ("confidence", "seconds", "snr_db", "doubt")  # those of a score that may be NaN


@dataclass(frozen=True, slots=True)
class ScoreStore:
    """Pages' scores in a folder's SCORES, one file each; `weights` is the hash of the networks that made them."""

    folder: Path
    weights: str

    def path_of(self, tier: str, name: str) -> Path:
        """Return where the score of a page lies."""
        return self.folder / SCORES / safe_name(tier) / f"{safe_name(name)}.json"

    def keep(self, score: PageScore, task: PageTask) -> None:
        """Write a page's score."""
        told = {"format": FORMAT, "weights": self.weights, "page": _identity(task), "score": to_plain(score)}
        write_text(self.path_of(score.tier, score.name), json.dumps(told) + "\n")

    def kept(self, task: PageTask, *, budget: bool) -> PageScore | None:
        """Return the score of this very page by these networks; None if there is none, or it lacks the `budget`.

        A file that cannot be read counts as none.
        """
        path = self.path_of(task.tier, task.name)
        try:
            told = json.loads(path.read_text("utf-8"))
            if (told["format"], told["weights"], told["page"]) != (FORMAT, self.weights, _identity(task)):
                return None
            score = from_plain(told["score"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, CodecError) as error:
            logger.warning("%s is not used: %s", path, error)
            return None
        return None if budget and score.stages is not None and not score.rungs else score


def read_scores(folder: Path) -> list[PageScore]:
    """Return all scores that an evaluation kept in its folder, by tier and name.

    Raises:
        ValueError: a file is none of ours.
    """
    scores = []
    for path in sorted((folder / SCORES).glob("*/*.json")):
        try:
            scores.append(from_plain(json.loads(path.read_text("utf-8"))["score"]))
        except (OSError, ValueError, KeyError, TypeError, CodecError) as error:
            raise ValueError(f"{path} is no score: {error}") from error
    return scores


def _identity(task: PageTask) -> list[object]:
    """Tell a page from another of its name: where it lies, and how large and old its file is."""
    try:
        about = task.path.stat()
    except OSError:
        return [str(task.path.resolve())]
    return [str(task.path.resolve()), about.st_size, about.st_mtime_ns]


def to_plain(score: PageScore) -> dict[str, object]:
    """Turn a score into what JSON can say."""
    told = plain(score)
    assert isinstance(told, dict)
    return told | {"quality": encode(score.quality)}


def from_plain(told: Mapping[str, Any]) -> PageScore:
    """Turn what `to_plain` said back into the score.

    Raises:
        KeyError, TypeError, ValueError: it is none.
        CodecError: its quality report is none.
    """
    values = {field.name: told[field.name] for field in fields(PageScore)}
    stages, sums = values["stages"], values["reliability"]
    counts: dict[str, Any] = {name: np.asarray(sums[name], kind) for name, kind in _SUMS.items()}
    if any(each.shape != (len(CONFIDENCE_EDGES) - 1,) for each in counts.values()):
        raise ValueError("its confidences are counted in other bins")
    quality: Any = decode(values["quality"])
    return PageScore(**values | {
        **{name: _number(values[name]) for name in _NUMBERS},
        "reasons": tuple(values["reasons"]),
        "lead_db": {lead: _number(db) for lead, db in values["lead_db"].items()},
        "rungs": {rung: _number(db) for rung, db in values["rungs"].items()},
        "reliability": Reliability(**counts),
        "stages": None if stages is None else _stages(stages),
        "quality": quality,
    })  # fmt: skip


_SUMS: Final[Mapping[str, type]] = {"samples": np.int64, "good": np.int64, "confidence": np.float64}


def _stages(told: Mapping[str, Any]) -> StageScores:
    labels = {name: NameCount(**count) for name, count in told["labels"].items()}
    grid = {name: _number(told[name]) for name in ("grid_median_mm", "grid_p95_mm")}
    return StageScores(**{**told, **grid, "labels": labels})


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
