"""The command line of training: render pages, train the stages, score them, bundle the weights."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Mapping, Sequence

COMMANDS: Mapping[str, tuple[str, str]] = {
    "synth": ("training.synth.write", "render pages with their truth into a folder"),
    "train": ("training.train", "train stage0, stage1, stage2 or all"),
    "evaluate": ("training.evaluate", "score the stages against the truth"),
    "bundle": ("training.bundle", "turn a checkpoint into the weights that ECG Studio ships"),
}
USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code; its own module parses what follows its name."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description=__doc__,
        epilog="\n".join(f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those listed below")
    known = parser.parse_args(arguments[:1])
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    module = importlib.import_module(COMMANDS[known.command][0])
    code: int | None = module.main(arguments[1:])
    return code or 0
