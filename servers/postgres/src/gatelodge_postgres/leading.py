"""Places that can't be reached, or entered, by this process alone: they are led through the helper."""

from __future__ import annotations

from collections.abc import Mapping

from gatelodge_postgres.connect.helper import Way
from gatelodge_postgres.connect.outside import Outside, way
from gatelodge_postgres.sources import Place


def lead(places: Mapping[str, Place]) -> Outside | None:
    """Start the helper, if any place needs it, and lead those that do through it.

    Call it before the process is confined.

    Raises:
        SettingsError: This system has no ssh, or can't do it.
    """
    ways: dict[str, Way] = {}
    for name, place in places.items():
        given = place.settings
        if given.password_command or given.ssh:
            targets = [place.target] + ([place.write_target] if place.write_target is not None else [])
            ways[name], found = way(name, given.password_command, given.ssh, targets)
            place.target, place.write_target = found[0], found[1] if len(found) > 1 else None
    if not ways:
        return None
    helper = Outside(ways)
    for name in ways:
        place = places[name]
        place.password = helper.password(name) if place.settings.password_command else None
        place.ready = helper.tunnel(name) if place.settings.ssh else None
    return helper
