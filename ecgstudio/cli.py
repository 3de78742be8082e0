"""The command line: which commands there are, what they take, and what their exit codes mean.

Nothing heavy is imported here, so that `--help` is instant; a command imports what it needs when it runs.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ecgstudio import __version__
from ecgstudio.commands.console import logging_to
from ecgstudio.errors import EcgStudioError, UserError

if TYPE_CHECKING:
    from ecgstudio.commands.export import ExportRequest

logger = logging.getLogger(__name__)

EXIT_OK: Final = 0
EXIT_SOME_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells expect

SPEEDS_MM_PER_S: Final = {"auto": None, "25": 25.0, "50": 50.0}
GAINS_MM_PER_MV: Final = {"auto": None, "5": 5.0, "10": 10.0, "20": 20.0}
DEVICES: Final = ("auto", "cpu", "cuda", "mps")
SEXES: Final = ("f", "m")
STAGES: Final = ("0", "1", "2")
SCREENS: Final = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
LIBRARIES: Final = "libegl1 libgl1 libxkbcommon0 libdbus-1-3 fontconfig"


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the table below: a subcommand, its arguments, and what runs it."""

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def _digitize_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("inputs", nargs="+", metavar="INPUT",
        help="image, PDF or DICOM files, folders of them, or globs; several ECGs in one picture become NAME-1, NAME-2 "
        "and so on")  # fmt: skip
    add("-o", "--output", required=True, type=Path, metavar="DIR", help="folder for the results; made if missing")
    add("--format", type=_formats, default=("wfdb", "csv", "json"), metavar="LIST",
        help="what to write, separated by commas: wfdb, csv, long, json, overlay (default: wfdb,csv,json)")  # fmt: skip
    add("--layout", type=_layout, default="auto", metavar="NAME",
        help="auto, or a layout such as 3x4+1, 3x4+3, 3x4, 6x2, 6x2+1, 12x1, 6x1 (default: auto)")  # fmt: skip
    add("--speed", choices=SPEEDS_MM_PER_S, default="auto", help="paper speed in mm/s (default: auto)")
    add("--gain", choices=GAINS_MM_PER_MV, default="auto", help="gain in mm/mV (default: auto)")
    add("--device", choices=DEVICES, default="auto", help="where the networks run (default: auto)")
    add("--overwrite", action="store_true", help="replace results that are already there")
    add("--jobs", type=_at_least_one, default=1, metavar="N", help="processes that work side by side (default: 1)")
    add("--overlay", action="store_true", help="also draw what was found over the page, as a PNG")
    add("--reconstruct", action="store_true",
        help="also mend the traces by their picture and fill short gaps, in channels of their own")  # fmt: skip
    add("--stage", choices=STAGES, default=None,
        help="run only up to stage 0 (keypoints), 1 (grid) or 2 (traces), and write its JSON and overlay")  # fmt: skip
    add("--json", action="store_true", help="print one line of JSON per page instead of a line of words")


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    _project_arguments(parser, output_required=True, output_help="folder for the results; made if missing")


def _replay_arguments(parser: argparse.ArgumentParser) -> None:
    help_text = "folder for the results (default: <PROJECT>-replay beside it)"
    _project_arguments(parser, output_required=False, output_help=help_text)


def _project_arguments(parser: argparse.ArgumentParser, *, output_required: bool, output_help: str) -> None:
    add = parser.add_argument
    add("project", type=Path, metavar="PROJECT", help="a project file of the workstation")
    add("-o", "--output", required=output_required, default=None, type=Path, metavar="DIR", help=output_help)
    add("--format", type=_formats, default=("wfdb", "csv", "json"), metavar="LIST",
        help="what to write, separated by commas: wfdb, csv, long, json, overlay (default: wfdb,csv,json)")  # fmt: skip
    add("--scans", action="append", default=[], type=Path, metavar="DIR",
        help="folder in which scans that were moved are looked for; may be given more than once")  # fmt: skip
    add("--device", choices=DEVICES, default="auto", help="where the networks run (default: auto)")
    add("--overwrite", action="store_true", help="replace results that are already there")
    add("--json", action="store_true", help="print one line of JSON per page instead of a line of words")


def _classify_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("inputs", nargs="+", metavar="RECORD_OR_IMAGE",
        help="WFDB headers (.hea, 100 Hz or more), images, PDF or DICOM files, folders of them, or globs")  # fmt: skip
    add("--age", type=_age, default=None, metavar="N", help="the patient's age in years (default: unknown)")
    add("--sex", choices=SEXES, default=None, help="the patient's sex (default: unknown)")
    add("--device", choices=DEVICES, default="auto", help="where the networks run (default: auto)")
    add("--json", action="store_true", help="print one line of JSON per input instead of a table")


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--self-test", action="store_true", help="digitize the bundled sample page and compare it with its truth")
    add("--device", choices=DEVICES, default="auto", help="where the networks run (default: auto)")


def _run_digitize(arguments: argparse.Namespace) -> int:
    from ecgstudio.commands.digitize import DigitizeRequest, run
    from ecgstudio.stages.settings import GridSettings, PipelineSettings, ReconstructSettings, TraceSettings

    formats = tuple(arguments.format)
    if arguments.overlay and "overlay" not in formats:
        formats = (*formats, "overlay")
    request = DigitizeRequest(
        inputs=tuple(arguments.inputs),
        folder=arguments.output,
        formats=formats,
        settings=PipelineSettings(
            grid=GridSettings(mm_per_s=SPEEDS_MM_PER_S[arguments.speed], mm_per_mV=GAINS_MM_PER_MV[arguments.gain]),
            traces=TraceSettings(layout=arguments.layout),
            reconstruct=ReconstructSettings(enabled=arguments.reconstruct),
        ),
        stage=None if arguments.stage is None else int(arguments.stage),
        device=arguments.device,
        overwrite=arguments.overwrite,
        jobs=arguments.jobs,
        as_json=arguments.json,
        verbose=arguments.verbose,
        debug=arguments.debug,
    )
    return EXIT_OK if run(request, out=sys.stdout, err=sys.stderr) else EXIT_SOME_FAILED


def _run_export(arguments: argparse.Namespace) -> int:
    from ecgstudio.commands.export import run
    from ecgstudio.io.cache import OutcomeCache

    request = _export_request(arguments, arguments.output)
    return EXIT_OK if run(request, out=sys.stdout, err=sys.stderr, cache=OutcomeCache()) else EXIT_SOME_FAILED


def _run_replay(arguments: argparse.Namespace) -> int:
    from ecgstudio.commands.replay import default_folder, run

    request = _export_request(arguments, arguments.output or default_folder(arguments.project))
    return EXIT_OK if run(request, out=sys.stdout, err=sys.stderr) else EXIT_SOME_FAILED


def _export_request(arguments: argparse.Namespace, folder: Path) -> ExportRequest:
    from ecgstudio.commands.export import ExportRequest

    return ExportRequest(
        project=arguments.project,
        folder=folder,
        formats=tuple(arguments.format),
        scans=tuple(arguments.scans),
        device=arguments.device,
        overwrite=arguments.overwrite,
        as_json=arguments.json,
    )


def _run_classify(arguments: argparse.Namespace) -> int:
    from ecgstudio.commands.classify import ClassifyRequest, run

    request = ClassifyRequest(
        inputs=tuple(arguments.inputs),
        age_years=arguments.age,
        sex=arguments.sex,
        device=arguments.device,
        as_json=arguments.json,
    )
    return EXIT_OK if run(request, out=sys.stdout, err=sys.stderr) else EXIT_SOME_FAILED


def _run_doctor(arguments: argparse.Namespace) -> int:
    from ecgstudio.commands.doctor import run

    healthy = run(device=arguments.device, self_test=arguments.self_test, out=sys.stdout)
    return EXIT_OK if healthy else EXIT_SOME_FAILED


def _open_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="pages, folders of pages, or a project")


def _run_open(arguments: argparse.Namespace) -> int:
    if sys.platform == "linux" and not any(os.environ.get(name) for name in SCREENS):
        raise UserError("There is no screen to open a window on; use `ecgstudio digitize` here.")
    try:
        from ecgstudio.gui.app import run
    except ImportError as error:
        raise UserError(f"The window cannot be opened: {error}. On Debian and Ubuntu install {LIBRARIES}.") from error
    return run(arguments.paths)


COMMANDS: Final = (
    Command("open", "open the workstation (this is also what happens without a command)", _open_arguments, _run_open),
    Command("digitize", "turn pages into 12-lead records", _digitize_arguments, _run_digitize),
    Command("export", "write the records of a project's pages, with its corrections", _export_arguments, _run_export),
    Command("replay", "rebuild a project's export from its scans and corrections", _replay_arguments, _run_replay),
    Command(
        "classify",
        "say what records or pages may show (research decision support, not a diagnosis)",
        _classify_arguments,
        _run_classify,
    ),
    Command("doctor", "show version, device, weights and libraries", _doctor_arguments, _run_doctor),
)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands from the table."""
    parser = argparse.ArgumentParser(
        prog="ecgstudio",
        description="Turns paper ECGs (scans, phone photos, PDFs) into digital 12-lead records.",
        epilog="Exit codes: 0 all pages were read, 1 some failed (each is named), 2 wrong usage, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"ecgstudio {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        sub = commands.add_parser(command.name, help=command.help, description=f"{command.help.capitalize()}.")
        command.add_arguments(sub)
        sub.add_argument("--verbose", action="store_true", help="say more while working")
        sub.add_argument("--debug", action="store_true", help="say everything, with the traceback of every error")
        sub.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 all went well, 1 something failed, 2 wrong usage, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a file name that the terminal cannot show
    try:
        arguments = build_parser().parse_args((sys.argv[1:] if argv is None else argv) or ["open"])
    except SystemExit as stop:  # argparse has said why
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    with logging_to(sys.stderr, verbose=arguments.verbose, debug=arguments.debug):
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except EcgStudioError as error:
        logger.debug("%s", error, exc_info=True)
        sys.stderr.write(f"ecgstudio: {error}\n")
        return EXIT_SOME_FAILED
    except KeyboardInterrupt:
        sys.stderr.write("\necgstudio: interrupted; pages that were finished are kept\n")
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
        return EXIT_SOME_FAILED


def _formats(text: str) -> tuple[str, ...]:
    from ecgstudio.io.export import parse_formats

    try:
        return parse_formats(text)
    except EcgStudioError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _layout(text: str) -> str:
    from ecgstudio.core.leads import LAYOUTS
    from ecgstudio.stages.settings import AUTO_LAYOUT

    if text != AUTO_LAYOUT and text not in LAYOUTS:
        raise argparse.ArgumentTypeError(f"{text!r} is no layout; choose from {', '.join((AUTO_LAYOUT, *LAYOUTS))}")
    return text


def _age(text: str) -> float:
    from ecgstudio.core.clinical import Clinical

    try:
        return Clinical(age_years=float(text)).age_years or 0.0
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
