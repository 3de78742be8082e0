"""Write the sample that ECG Studio ships: a synthetic ECG as a clear photo, with the record that is printed on it.

``python -m training.synth.sample resources/sample`` made the files of that folder; no patient's data are in them.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ecgstudio.core.ecg import EcgRecord
from ecgstudio.io.atomic import write_bytes
from ecgstudio.io.export import export_page
from training.signals import synthesize_record
from training.synth import optics
from training.synth.page import Sheet, render_sheet
from training.synth.photo import PhotoOdds, frame_sheet, paper_light, shape_paper
from training.synth.style import COLUMNS_3X4, PageStyle, RowStyle, random_style
from training.synth.text import draw_text
from training.synth.warp import Warp

RECORD_SEED = 36  # a normal heart at 70 beats per minute with all waves well seen
START_S, LENGTH_S = 0.9, 10.0  # from between two beats on
SHEET_PX_PER_MM = 8.0
PHOTO_PX_PER_MM = 5.6
COLOURS = 64  # keeps the picture small; a trace's edge needs no more
TEXTS = (
    (14.0, 11.0, 3.2, "ECG Studio sample: a synthetic recording, no patient"),
    (14.0, 17.0, 2.5, "Sinus rhythm, 70 bpm"),
    (14.0, 175.5, 2.3, "25 mm/s    10 mm/mV    0.05-40 Hz"),
)
"""Left end, baseline and capital height in mm, and the text."""
TABLE_RGB = (84, 70, 58)
CLEAR = PhotoOdds(tilt_deg=2.5, turn_deg=1.2, cropped=0.0, camera_aspect=0.0, curl=1.0, fold=1.0, crumple=0.0)


def sample_sheet() -> Sheet:
    """Draw the flat sheet; the same everywhere."""
    import matplotlib  # only for its font

    font = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
    record = synthesize_record(np.random.default_rng(RECORD_SEED), duration_s=12.0)
    first, count = round(START_S * record.fs), round(LENGTH_S * record.fs)
    rng = np.random.default_rng(4)
    sheet = render_sheet(
        record.mv[:, first : first + count], record.fs, rng=rng, px_per_mm=SHEET_PX_PER_MM,
        style=_sample_style(rng), fonts=[font],
    )  # fmt: skip
    mask = np.zeros(sheet.pixels.shape[:2], np.uint8)
    for x_mm, y_mm, height_mm, text in TEXTS:
        xy = (x_mm * SHEET_PX_PER_MM, y_mm * SHEET_PX_PER_MM)
        draw_text(mask, text, xy=xy, height_px=height_mm * SHEET_PX_PER_MM, font=font)
    lit = (255 - 0.9 * mask[:, :, None]) / 255
    return replace(sheet, pixels=(sheet.pixels * lit).astype(np.uint8))


def photograph_clearly(sheet: Sheet) -> NDArray[np.uint8]:
    """Lay the sheet on a table, bend it a little, and look at it from nearly above, in even light."""
    rng = np.random.default_rng(11)
    height, width = sheet.pixels.shape[:2]
    pose = frame_sheet(rng, (width, height), px_per_mm=sheet.px_per_mm, odds=CLEAR)
    zoom = PHOTO_PX_PER_MM / pose.px_per_mm
    smaller = np.array([[zoom, 0, (zoom - 1) / 2], [0, zoom, (zoom - 1) / 2], [0, 0, 1]])
    pose = replace(
        pose,
        to_photo=smaller @ pose.to_photo,
        photo_wh=(round(pose.photo_wh[0] * zoom), round(pose.photo_wh[1] * zoom)),
    )
    surface, _ = shape_paper(rng, (width, height), px_per_mm=sheet.px_per_mm, odds=CLEAR, pose=pose)
    warp = Warp((width, height), pose.photo_wh, np.linalg.inv(pose.to_photo), 0.0, surface.displacement)
    nodes = warp.nodes()
    photo = warp.render(sheet.pixels, np.array(TABLE_RGB, np.uint8), nodes=nodes)
    light = paper_light(rng, nodes, surface, (width, height), px_per_mm=sheet.px_per_mm)
    photo = optics.multiply_at_nodes(photo, np.repeat(light[:, :, None], 3, axis=2), nodes)
    return optics.defocus(photo, 0.6)


def write_sample(folder: Path) -> None:
    """Write `page.png` and `truth.csv` (`time_s` and one column per lead in mV, empty where not printed)."""
    sheet = sample_sheet()
    picture = io.BytesIO()
    few = Image.fromarray(photograph_clearly(sheet)).quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(picture, "PNG", optimize=True)
    write_bytes(folder / "page.png", picture.getvalue())
    truth = EcgRecord(sheet.truth.record_mv, sheet.truth.record_fs)
    export_page("truth", folder, truth, {}, None, formats=["csv"], overwrite=True)


def _sample_style(rng: np.random.Generator) -> PageStyle:
    rows = [RowStyle(leads, rhythm=False) for leads in zip(*COLUMNS_3X4, strict=True)]
    style = random_style(rng, layout="3x4+1")
    return replace(
        style, rows=(*rows, RowStyle(("II",), rhythm=True)), size_mm=(280.0, 180.0), left_mm=20.0, width_mm=250.0,
        row_mm=(48.0, 81.0, 114.0, 147.0), mm_per_s=25.0, mm_per_mV=(10.0, 10.0), sequential=True, gap_mm=0.0,
        separator="tick", separator_mm=5.0, separator_thick_mm=0.3, pulse="left",
        pulse_gap_mm=0.5, pulse_flat_mm=1.0, label_place="above", label_dx_mm=1.0,
        label_dy_mm=-7.0, label_height_mm=2.8, label_case="normal", labels_missing=0.0, grid="full",
        grid_origin_mm=(0.0, 0.0), grid_box_mm=(5.0, 25.0, 275.0, 170.0), grid_ink=(235, 120, 120), minor_alpha=0.45,
        major_alpha=0.85, minor_mm=0.12, major_mm=0.25, paper=(255, 252, 246), ink=(20, 20, 26), trace_mm=0.3,
        dot_mm=0.0, text_ink=(20, 20, 26), scale_text="none", header=False, ticks=False, filter_hz=40.0,
        baseline_hz=0.05,
    )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where page.png and truth.csv go")
    write_sample(parser.parse_args().folder)
