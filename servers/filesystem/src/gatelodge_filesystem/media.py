"""Images scaled down to what a model can use, with Pillow where it is installed (the extra ``media``)."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from gatelodge_core.errors import CallError

MAX_PIXELS = 64_000_000
"""Pixels of the largest image that is decoded; its header tells them before anything is unpacked."""
EDGE = 1568
"""The longer edge of what is sent: models scale larger images down themselves."""
SENT = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""Types that hosts show."""
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
_QUALITIES = (85, 70, 50, 30)


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as it is sent.

    Args:
        data: Its bytes.
        mime_type: Their type.
        note: What was done to it, in words; empty if nothing was.
    """

    data: bytes
    mime_type: str
    note: str = ""


def fitted(data: bytes, mime_type: str, max_bytes: int) -> Picture:
    """An image no larger than `max_bytes` and `EDGE`, in a type that hosts show; as it is if it fits already.

    Raises:
        CallError: `needs_pillow`, `bad_image`, `too_many_pixels`, or `too_large`.
    """
    try:
        from PIL import Image  # noqa: PLC0415 - an extra, and 60 ms
    except ImportError:
        if mime_type in SENT and len(data) <= max_bytes:
            return Picture(data, mime_type)
        raise CallError(
            "needs_pillow",
            f"this {mime_type} of {len(data)} bytes has to be scaled down or converted first.",
            "Install gatelodge-filesystem[media], or read it with form=blob.",
        ) from None
    with warnings.catch_warnings():
        # Pillow's own limit only warns; ours refuses.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise CallError("too_many_pixels", f"the image has {width}x{height} pixels, {MAX_PIXELS:,} may be.")
                if mime_type in SENT and len(data) <= max_bytes and max(image.size) <= EDGE:
                    return Picture(data, mime_type)
                # JPEG can skip detail while decoding, which saves memory and time.
                image.draft("RGB", (EDGE, EDGE))
                image.thumbnail((EDGE, EDGE))
                made = image.convert("RGBA" if _transparent(image) else "RGB")
        except CallError:
            raise
        except Image.DecompressionBombError:
            raise CallError("too_many_pixels", f"the image has more than {MAX_PIXELS:,} pixels.") from None
        except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
            raise CallError("bad_image", f"this can't be decoded as an image ({type(error).__name__}).") from None
    return _encoded(made, (width, height), max_bytes)


def _transparent(image: object) -> bool:
    return getattr(image, "has_transparency_data", False) is True


def _encoded(image: object, was: tuple[int, int], max_bytes: int) -> Picture:
    from PIL import Image  # noqa: PLC0415 - as above

    assert isinstance(image, Image.Image)
    while True:
        note = f"scaled from {was[0]}x{was[1]} to {image.width}x{image.height}"
        if image.mode == "RGBA":
            data = _saved(image, "PNG")
            if len(data) <= max_bytes:
                return Picture(data, "image/png", note)
        else:
            for quality in _QUALITIES:
                data = _saved(image, "JPEG", quality)
                if len(data) <= max_bytes:
                    return Picture(data, "image/jpeg", f"{note}, JPEG quality {quality}")
        if max(image.size) < 64:
            raise CallError("too_large", f"the image does not fit into {max_bytes} bytes.", "Raise max_bytes.")
        image.thumbnail((max(image.size) // 2, max(image.size) // 2))


def _saved(image: object, kind: str, quality: int = 85) -> bytes:
    from PIL import Image  # noqa: PLC0415 - as above

    assert isinstance(image, Image.Image)
    out = io.BytesIO()
    if kind == "JPEG":
        image.save(out, "JPEG", quality=quality, optimize=True)
    else:
        image.save(out, "PNG", optimize=True)
    return out.getvalue()
