"""The command line of training: render pages, train the stages, score them, bundle the weights."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Mapping, Sequence

from ecgstudio.errors import UserError

COMMANDS: Mapping[str, tuple[str, str]] = {
    "synth": ("training.synth.write", "render pages with their truth into a folder"),
    "others": ("training.others", "let other programs print pages, to measure on"),
    "train": ("training.train", "train stage0, names, texts, stage1, stage2 or all"),
    "evaluate": ("training.evaluate", "score the stages against the truth"),
    "doubt": ("training.doubt", "fit the chance of a bad reading that a page tells to the scores of rendered pages"),
    "classify": ("training.classify.command", "train and evaluate classifiers of signals, images and clinical values"),
    "reconstruct": ("training.reconstruct.command", "train and evaluate what mends series by their picture"),
    "bundle": ("training.bundle", "turn a checkpoint into the weights that ECG Studio ships"),
}
USER_ERROR = 1

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code.

    Each is a module with ``add_arguments(parser)`` and ``main(args) -> int``, imported only when it is asked for.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    width = max(map(len, COMMANDS))
    chooser = argparse.ArgumentParser(
        prog="python -m training",
        description=__doc__,
        epilog="\n".join(f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    chooser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those listed below")
    command = chooser.parse_args(arguments[:1]).command
    module_name, summary = COMMANDS[command]
    module = importlib.import_module(module_name)
    parser = argparse.ArgumentParser(
        prog=f"python -m training {command}", description=f"{summary[0].upper()}{summary[1:]}."
    )
    module.add_arguments(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for every step or page")
    parser.add_argument(
        "--debug", action="store_true",
        help="--verbose, and the traceback of every error; 'train' also names the operation that made a NaN "
        "and loads in its own process (slow)",
    )  # fmt: skip
    args = parser.parse_args(arguments[1:])
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    ours = [logging.getLogger(name) for name in ("training", "ecgstudio")]
    for each in ours:
        each.setLevel(logging.DEBUG if args.verbose or args.debug else logging.NOTSET)
    try:
        return int(module.main(args) or 0)
    except UserError as error:
        logger.error("%s", error, exc_info=args.debug)
        return USER_ERROR
    finally:
        for each in ours:
            each.setLevel(logging.NOTSET)
