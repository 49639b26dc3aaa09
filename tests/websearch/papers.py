"""PDF files made by hand: of any number of pages, encrypted, and hostile ones."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence

Object = str | bytes
BOX = "[0 0 612 792]"


def written(objects: Sequence[Object], trailer: str = "") -> bytes:
    """A PDF of numbered objects, the first of which is its root."""
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n")
    places: list[int] = []
    for number, item in enumerate(objects, 1):
        places.append(out.tell())
        body = item.encode("latin-1") if isinstance(item, str) else item
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    out.write("".join(f"{place:010d} 00000 n \n" for place in places).encode())
    out.write(f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode())
    return out.getvalue()


def stream(data: bytes, more: str = "") -> bytes:
    """A stream object."""
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), more.encode(), data)


def drawn(lines: Sequence[str]) -> bytes:
    """A page's instructions that show some lines."""
    shown = " ".join(f"({line}) Tj T*" for line in lines)
    return f"BT /F1 12 Tf 50 700 Td 14 TL {shown} ET".encode("latin-1")


def paper(pages: Sequence[Sequence[str]], title: str = "A paper", trailer: str = "") -> bytes:
    """A PDF with some lines on each page."""
    kids = " ".join(f"{5 + 2 * number} 0 R" for number in range(len(pages)))
    objects: list[Object] = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        f"<< /Title ({title}) >>",
    ]
    for number, lines in enumerate(pages):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {6 + 2 * number} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(stream(drawn(lines)))
    return written(objects, f"/Info 4 0 R {trailer}")


def encrypted() -> bytes:
    """A PDF that wants a password: its key check fails for the empty one, as that of any would."""
    key = "<" + "5a" * 32 + ">"
    handler = f"/Encrypt << /Filter /Standard /V 1 /R 2 /Length 40 /P -4 /O {key} /U {key} >> /ID [<00ff> <00ff>]"
    return paper([["secret words"]], trailer=handler)


def bomb(megabytes: int) -> bytes:
    """A page whose instructions unpack, twice, to that many megabytes."""
    packer = zlib.compressobj(1)
    once = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(megabytes)) + packer.flush()
    return written(
        [
            "<< /Type /Catalog /Pages 2 0 R >>",
            "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R >>",
            stream(zlib.compress(once), "/Filter [/FlateDecode /FlateDecode]"),
        ]
    )


def endless(count: int) -> bytes:
    """A page that draws itself again and again through nested forms, two in each, and says it is a million pages."""
    objects: list[Object] = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R 2 0 R] /Count 1000000 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox {BOX} /Contents 4 0 R /Resources << /XObject << /X 5 0 R >> >> >>",
        stream(b"/X Do"),
        "<< >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number in range(count):
        following = len(objects) + 2 if number < count - 1 else 5
        form = (
            f"/Type /XObject /Subtype /Form /BBox [0 0 612 792] "
            f"/Resources << /XObject << /X {following} 0 R >> /Font << /F1 6 0 R >> >>"
        )
        objects.append(stream(b"/X Do /X Do BT /F1 9 Tf (again) Tj ET", form))
    objects[3] = stream(b"/X Do")
    objects[4] = objects[6] if count else "<< >>"
    return written(objects)
