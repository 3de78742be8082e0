"""The tables and texts of a comparison of classifiers; the figures are made elsewhere."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ecgstudio.io.atomic import file_group
from training.classify.evaluate import Evaluation
from training.classify.metrics import COUNTS, RATES, bootstrap_aucs, bootstrap_f1s, interval

EXPECTED: Mapping[str, tuple[str, float, float]] = {
    "signal": ("recurrent models", 0.75, 0.82),
    "image": ("image models", 0.78, 0.87),
    "joint": ("joint fusion", 0.82, 0.89),
}
"""Macro F1 by family as their authors expect it, by their own protocol."""
EXPECTED_OF = {"fusion": "joint"}
"""The application's classifier stands beside what is expected of joint fusion."""
FUSED, SINGLE = ("joint", "fusion"), ("signal", "image")
PROTOCOL = (
    "The split is that of the data set's table. For the bundled PTB-XL packs this is NOT PTB-XL's official protocol: a",
    "quarter of its training records, a part of fold 10 in training, no patient in two splits. Probabilities are",
    "calibrated and thresholds chosen (best F1) on the validation split; the test split was only measured.",
)
PER_CLASS_TABLES = {
    "02_per_class_f1_comparison.csv": "f1_score",
    "03_per_class_sensitivity_comparison.csv": "sensitivity",
    "04_per_class_auc_roc_comparison.csv": "auc_roc",
}

Row = Sequence[object]


def ranked(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Order models by macro F1, best first."""
    return sorted(evaluations, key=lambda each: -_known(each.scores.macro["f1_score"]))


def write_report(order: Sequence[Evaluation], folder: Path, *, notes: Sequence[str] = ()) -> None:
    """Write the five tables and two texts; all appear or none does."""
    tables = {"01_macro_comparison.csv": _macro(order), "05_best_model_detailed.csv": _detailed(order[0])}
    tables |= {name: _per_class(order, rate) for name, rate in PER_CLASS_TABLES.items()}
    with file_group() as group:
        for name, rows in sorted(tables.items()):
            group.add(folder / name, _csv(rows))
        group.add(folder / "EVALUATION_SUMMARY.txt", summary(order, notes=notes).encode())
        group.add(folder / "DETAILED_METRICS_REPORT.txt", details(order).encode())


def summary(order: Sequence[Evaluation], *, notes: Sequence[str] = ()) -> str:
    """Return who was compared, on what, and who is best; measured beside expected."""
    best, examples = order[0], len(order[0].labels)
    lines = ["EVALUATION SUMMARY", "", f"{len(order)} models, {examples} test examples", *PROTOCOL, *notes, ""]
    lines += [
        f"{'model':28} {'family':9} {'parameters':>11} {'macro F1':>9} {'macro AUC':>10} {'95 % interval':>17}",
    ]
    for each in order:
        macro, (low, high) = each.scores.macro, each.auc_interval
        lines.append(
            f"{each.name:28} {each.family:9} {each.parameters:11,d} {macro['f1_score']:9.3f} {macro['auc_roc']:10.4f} "
            f"{low:8.3f} - {high:.3f}"
        )
    lines += ["", f"Best by macro F1: {best.name}", "", "Per class of the best model (95 % bootstrap interval of AUC):"]
    for name, (low, high) in zip(best.scores.classes, best.class_intervals, strict=True):
        values = best.scores.per_class[name]
        lines.append(
            f"  {name:9} F1 {values['f1_score']:.3f}  sensitivity {values['sensitivity']:.3f}  specificity "
            f"{values['specificity']:.3f}  AUC {values['auc_roc']:.3f} ({low:.3f} - {high:.3f})"
        )
    expected = EXPECTED if len(best.scores.classes) > 1 else {}
    if expected:
        lines += ["", "Macro F1 measured here, beside what the models' authors expect by their own protocol:"]
    for family, (text, low, high) in expected.items():
        reached = [each.scores.macro["f1_score"] for each in order if each.family == family]
        measured = f"{min(reached):.3f} - {max(reached):.3f}" if reached else "not trained"
        lines.append(f"  {text:18} {measured:15} (expected {low:.2f} - {high:.2f})")
    lines += ["", *_per_class_table(order)]
    fused = [each for each in order if each.family in FUSED]
    for each in fused:
        lines += ["", *_against_single(each, order)]
    return "\n".join(lines) + "\n"


def _per_class_table(order: Sequence[Evaluation]) -> list[str]:
    """Return a Markdown table: the best model of every family, F1 and AUC with intervals, expected F1 beside them."""
    lines = [
        "Per class, the best model of every family by macro F1, with 95 % bootstrap intervals over the test examples:",
        "",
        "| model | class | F1 | its authors expect | AUC |",
        "|---|---|---|---|---|",
    ]
    best = [next(each for each in order if each.family == family) for family in dict.fromkeys(e.family for e in order)]
    for each in best:
        decided = (each.probabilities >= each.thresholds).astype(np.uint8)
        f1s = bootstrap_f1s(each.labels, decided)
        whole = ("macro", each.scores.macro, interval(f1s.mean(axis=1)), each.auc_interval)
        classes = [
            (name, each.scores.per_class[name], interval(f1s[:, column]), each.class_intervals[column])
            for column, name in enumerate(each.scores.classes)
        ]
        expected = EXPECTED.get(EXPECTED_OF.get(each.family, each.family))
        beside = f"{expected[1]:.2f}-{expected[2]:.2f}" if expected else "-"
        for name, values, f1, auc in (*classes, whole) if len(classes) > 1 else classes:
            lines.append(
                f"| {each.name} | {name} | {values['f1_score']:.3f} ({f1[0]:.3f}-{f1[1]:.3f}) | "
                f"{beside if name == 'macro' else ''} | {values['auc_roc']:.3f} ({auc[0]:.3f}-{auc[1]:.3f}) |"
            )
    return lines


def _against_single(fused: Evaluation, order: Sequence[Evaluation]) -> list[str]:
    """Say by how much a fused model is above the best model of one modality (by macro AUC) on the same examples."""
    lines = [f"{fused.name} less the best model of one modality, macro AUC, paired bootstrap over the test examples:"]
    for family in SINGLE:
        rivals = [each for each in order if each.family == family]
        if not rivals:
            lines.append(f"  no {family} model was trained")
            continue
        rival = max(rivals, key=lambda each: _known(each.scores.macro["auc_roc"]))
        own, other = (bootstrap_aucs(each.labels, each.probabilities).mean(axis=1) for each in (fused, rival))
        gain, (low, high) = fused.scores.macro["auc_roc"] - rival.scores.macro["auc_roc"], interval(own - other)
        lines.append(f"  {family:7} {rival.name:24} {gain:+.4f} ({low:+.4f} to {high:+.4f})")
    return lines


def details(order: Sequence[Evaluation]) -> str:
    """Return every figure of every model."""
    lines = ["DETAILED METRICS REPORT", ""]
    for each in order:
        lines += [f"=== {each.name} ({each.family})", ""]
        header, *rows = _detailed(each)
        lines.append(" ".join(f"{name!s:>12}" for name in header))
        lines += [" ".join(f"{_short(value):>12}" for value in row) for row in rows]
        lines.append("")
    return "\n".join(lines)


def _macro(order: Sequence[Evaluation]) -> Iterable[Row]:
    yield ("model", "family", *RATES, "auc_roc_low", "auc_roc_high", *(f"micro_{rate}" for rate in RATES), "parameters")
    for each in order:
        macro, micro = each.scores.macro, each.scores.micro
        yield (
            each.name, each.family, *(macro[rate] for rate in RATES), *each.auc_interval,
            *(micro[rate] for rate in RATES), each.parameters,
        )  # fmt: skip


def _per_class(order: Sequence[Evaluation], rate: str) -> Iterable[Row]:
    classes = order[0].scores.classes
    yield ("model", *classes, "macro")
    for each in order:
        yield (each.name, *(each.scores.per_class[name][rate] for name in classes), each.scores.macro[rate])


def _detailed(each: Evaluation) -> list[Row]:
    rows: list[Row] = [("class", *RATES, *COUNTS, "threshold")]
    for name, threshold in zip(each.scores.classes, each.thresholds, strict=True):
        values = each.scores.per_class[name]
        rows.append((name, *(values[rate] for rate in RATES), *(int(values[count]) for count in COUNTS), threshold))
    blanks = ("",) * len(COUNTS)
    rows.append(("macro", *(each.scores.macro[rate] for rate in RATES), *blanks, ""))
    micro = each.scores.micro
    rows.append(("micro", *(micro[rate] for rate in RATES), *(int(micro[count]) for count in COUNTS), ""))
    return rows


def _csv(rows: Iterable[Row]) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows([[_text(value) for value in row] for row in rows])
    return stream.getvalue().encode()


def _text(value: object) -> object:
    """Write a figure with six decimals, an unknown one as an empty cell."""
    if not isinstance(value, float):
        return value
    return f"{value:.6f}" if math.isfinite(value) else ""


def _short(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _known(value: float) -> float:
    return value if math.isfinite(value) else -1.0
