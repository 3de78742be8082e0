"""``python -m training classify``: train classifiers, evaluate them, write tables of records for the clinical model."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ecgstudio.core.leads import LAYOUTS
from training.classify.settings import settings_for
from training.classify.zoo import FIVE_CLASS_MODELS, ZOO
from training.configs import with_settings

logger = logging.getLogger(__name__)

PATHS: Mapping[str, str] = {
    "records": "folder of PTB-XL, of record packs, or of the tree signals/ images/ labels/",
    "images": "clinical_fusion: folder of lead strips INDEX.png",
    "series": "clinical_fusion: CSV of digitized series, a row per index",
    "clinical": "clinical_fusion: XLSX or CSV of clinical values by index",
    "labels": "clinical_fusion: XLSX or CSV of normal, abnormal or borderline by index",
    "pretrained": "state dict of a torchvision ResNet18 (.pth or .safetensors)",
    "cache": "folder for what is slow to compute (default: RUNS/cache)",
}
PAGE_KINDS = ("render", "scan", "photo", "screen", "damage")
ABNORMAL_FOLDER = "normal_or_abnormal"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m training classify``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    models = "\n".join(f"  {name:22} {spec.summary}" for name, spec in ZOO.items())
    train = actions.add_parser(
        "train", help="train one model or all", formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"models:\n{models}",
    )  # fmt: skip
    train.add_argument("model", choices=(*ZOO, "all"), metavar="MODEL", help="a model's name, or all five-class models")
    train.add_argument("--resume", action="store_true", help="go on where a run stopped; finished ones are left")
    train.add_argument("--name", help="name of the run's folder (default: the model's)")
    train.add_argument("--full", action="store_true", help="the published sizes (224 px, full widths): for a GPU")
    train.add_argument("--config", type=Path, help="TOML of settings; a table [MODEL] applies to that model only")
    train.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting; repeatable"
    )
    train.add_argument("--epochs", type=int, help="most epochs")
    train.add_argument("--batch-size", type=int, help="examples per step")
    train.add_argument("--learning-rate", type=float, help="(highest) learning rate")
    train.add_argument("--device", help="auto, cpu, cuda, cuda:1 or mps")
    evaluate = actions.add_parser("evaluate", help="score every trained model on the test split; tables and plots")
    evaluate.add_argument("--out", type=Path, help="folder of tables and plots (default: RUNS/evaluation)")
    evaluate.add_argument("--layout", choices=sorted(LAYOUTS), help="show the test signals as this layout prints them")
    evaluate.add_argument("--quiet-paper", action="store_true", help="with --layout: without the noise of reading")
    evaluate.add_argument("--seed", type=int, default=0, help="with --layout: of that noise")
    evaluate.add_argument("--unknown", action="store_true", help="hide age and sex")
    for part in (train, evaluate):
        part.add_argument("--runs", type=Path, default=Path("runs/classify"), help="default: runs/classify")
        for name, text in PATHS.items():
            part.add_argument(f"--{name}", help=text)
    pages = actions.add_parser(
        "pages", help="print the test records, read the pages, score the bundled classifier on them"
    )
    pages.add_argument("--records", type=Path, required=True, help="folder of PTB-XL or of record packs")
    pages.add_argument("--out", type=Path, required=True, help="folder for what was read, pages.csv and pages.txt")
    pages.add_argument("--layout", choices=sorted(LAYOUTS), default="3x4+1", help="default: 3x4+1")
    pages.add_argument(
        "--kind", choices=PAGE_KINDS, action="append", default=[],
        help="of damage; repeatable: the records show them in turn (default: every kind, as often as in training)",
    )  # fmt: skip
    pages.add_argument(
        "--odd", action="store_true",
        help="pages as odd as in training: any scale, lead order, simultaneous columns, missing names, no grid",
    )  # fmt: skip
    pages.add_argument("--split", choices=("val", "test"), default="test", help="which records (default: test)")
    pages.add_argument("--seed", type=int, default=0)
    pages.add_argument("--limit", type=int, default=0, help="only the first so many records")
    pages.add_argument("--jobs", type=int, default=1, help="processes that work side by side (default: 1)")
    pages.add_argument("--device", default="auto", help="where the networks run (default: auto)")
    tables = actions.add_parser("tables", help="write strips, series, clinical values and labels of records")
    tables.add_argument("--records", type=Path, required=True, help=PATHS["records"])
    tables.add_argument(
        "--out", type=Path, required=True, help="folder for images/, series.csv, clinical.csv, labels.csv"
    )
    tables.add_argument("--limit", type=int, help="at most so many records per split")


def main(args: argparse.Namespace) -> int:
    """Do what was asked for; return the exit code."""
    actions: Mapping[str, Callable[[argparse.Namespace], None]] = {
        "train": _train, "evaluate": _evaluate, "pages": _pages, "tables": _tables,
    }  # fmt: skip
    actions[args.action](args)
    return 0


def _train(args: argparse.Namespace) -> None:
    from training.classify.loop import fit  # torch is slow to import, and not needed to show the help
    from training.classify.plots import find_runs, write_training_curves
    from training.classify.sources import open_examples

    names = FIVE_CLASS_MODELS if args.model == "all" else (args.model,)
    for model in names:
        given = {"epochs": args.epochs, "batch": args.batch_size, "learning_rate": args.learning_rate}
        given |= {name: getattr(args, name) for name in (*PATHS, "device")}
        settings = settings_for(ZOO[model].defaults, table=model, toml=args.config, full=args.full, overrides=args.set)
        settings = with_settings(settings, {name: value for name, value in given.items() if value is not None})
        if settings.pretrained and settings.width != 1.0:
            logger.info("%s: full width, as the pretrained weights have it", model)
            settings = with_settings(settings, {"width": 1.0})
        if not settings.cache:
            settings = with_settings(settings, {"cache": str(args.runs / "cache")})
        name = args.name or model if len(names) == 1 else model
        result = fit(model, settings, open_examples(model, settings), folder=args.runs / name, resume=args.resume)
        logger.info(
            "%s: %d epochs, best %d, validation macro AUC %.4f, %d parameters, %s",
            name, result.epochs, result.best_epoch, result.val_macro_auc, result.parameters, result.path,
        )  # fmt: skip
    write_training_curves(find_runs(args.runs), args.runs / "curves")


def _evaluate(args: argparse.Namespace) -> None:
    from training.classify.batches import on_paper
    from training.classify.evaluate import Evaluation, compare_models, evaluate_model, find_trained
    from training.classify.paper import QUIET
    from training.classify.report import ranked, summary
    from training.classify.sources import open_examples

    groups: dict[tuple[str, ...], list[Evaluation]] = {}
    for name, trained in find_trained(args.runs).items():
        recipe = trained.recipe
        given = {name: value for name in PATHS if (value := getattr(args, name)) is not None}
        examples = open_examples(recipe.model, with_settings(recipe.settings, given)).test
        if args.layout and "signal" in examples.inputs:
            examples = on_paper(examples, layout=args.layout, seed=args.seed, noise=QUIET if args.quiet_paper else None)
        if args.unknown and "signal" in examples.inputs and "clinical" in examples.inputs:
            examples = examples.having(clinical=np.zeros_like(examples.inputs["clinical"]))
        evaluation = evaluate_model(trained, examples, name=name)
        logger.info("%s: macro AUC %.4f", name, evaluation.scores.macro["auc_roc"])
        groups.setdefault(recipe.classes, []).append(evaluation)
    out = args.out or args.runs / "evaluation"
    notes = ["Age and sex are hidden from the application's classifier."] if args.unknown else []
    if args.layout:
        how = "as printed on" if args.quiet_paper else f"with the noise of reading (seed {args.seed}) as from"
        notes += [f"Signals {how} {args.layout} pages (training.classify.paper); images from whole signals."]
    for classes, evaluations in groups.items():
        folder = out if len(classes) > 1 or len(groups) == 1 else out / ABNORMAL_FOLDER
        compare_models(evaluations, folder=folder, notes=notes)
        sys.stdout.write(summary(ranked(evaluations), notes=notes))


def _pages(args: argparse.Namespace) -> None:
    from ecgstudio.nets.torch_runtime import load_runtime
    from training.classify.digitized import PagesPlan, evaluate_on_pages, write_results

    plan = PagesPlan(
        args.records, args.out, split=args.split, layout=args.layout, kinds=tuple(args.kind),
        ordinary=not args.odd, seed=args.seed, limit=max(0, args.limit),
    )  # fmt: skip
    examples, results = evaluate_on_pages(plan, runtime=load_runtime(args.device), jobs=max(1, args.jobs))
    sys.stdout.write(write_results(plan, examples, results))


def _tables(args: argparse.Namespace) -> None:
    from training.classify.write_tables import write_tables

    count = write_tables(args.records, args.out, limit=args.limit)
    logger.info("%d rows in %s", count, args.out)
