"""A PDF page drawn with lines, written by hand: what hospital systems export."""

from __future__ import annotations


def drawn_pdf(
    drawing: str,
    *,
    size_pt: tuple[float, float] = (300, 200),
    rotate: int = 0,
    crop: tuple[float, float, float, float] | None = None,
    form: str = "",
) -> bytes:
    """Return a PDF of one page with a content stream; `form` is that of the XObject /Form."""
    box = f"/CropBox [{' '.join(map(str, crop))}]" if crop else ""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {size_pt[0]} {size_pt[1]}] {box} /Rotate {rotate} "
        "/Resources << /XObject << /Form 5 0 R >> >> /Contents 4 0 R >>",
        f"<< /Length {len(drawing)} >>\nstream\n{drawing}\nendstream",
        f"<< /Type /XObject /Subtype /Form /BBox [-1000 -1000 1000 1000] /Length {len(form)} >>\n"
        f"stream\n{form}\nendstream",
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{each}\nendobj\n".encode()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    start, count = len(out), len(objects) + 1
    trailer = f"trailer << /Size {count} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    return out + f"xref\n0 {count}\n0000000000 65535 f \n{table}{trailer}".encode()
