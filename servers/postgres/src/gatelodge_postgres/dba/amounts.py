"""Numbers as people read them."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB")


def size(bytes_: float) -> str:
    """A number of bytes, such as ``12.3 MB``."""
    value, unit = float(bytes_), 0
    while abs(value) >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 or abs(value) >= 100 else f"{value:.1f} {_UNITS[unit]}"


def amount(value: float) -> str:
    """A count with its thousands apart."""
    return f"{value:,.0f}"


def milliseconds(value: float) -> str:
    """A time given in milliseconds, in the unit that suits it."""
    if value < 1000:
        return f"{value:.3g} ms" if value else "0 ms"
    return duration(value / 1000)


def duration(seconds: float) -> str:
    """A time given in seconds, such as ``12.5 s`` or ``3.4 h``."""
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / divisor:.3g} {unit}"
    return f"{seconds / 86_400:,.0f} days"
