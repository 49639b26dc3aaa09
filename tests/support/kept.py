"""The toy server as the real ones are: behind a whole keeper, confined, over HTTP with whatever settings are given."""

from __future__ import annotations

from gatelodge_core.keeper import Keeper
from gatelodge_core.launch.entry import Program, main
from gatelodge_core.sandbox.profiles import filesystem
from gatelodge_core.server import Lodge

from tests.support.toy import IDENTITY, Shelf, ToySettings, toy


def build(settings: ToySettings) -> Lodge[Shelf]:
    """The server."""
    keeper = Keeper(settings, IDENTITY, toy)
    return Lodge(
        IDENTITY, toy, Shelf({"alpha": "first"}), keeper.steps, ready=keeper.ready, states=keeper.states,
        hidden=keeper.hidden, replicas=keeper.replicas,
        turned_away=keeper.turned_away, profile=keeper.confined(filesystem((), (), settings.state_path)), start=keeper.start,
        life=lambda: keeper.life(lambda: None),
    )  # fmt: skip


PROGRAM = Program("toy", "tests.support.toy:ToySettings", "tests.support.kept:build")

if __name__ == "__main__":
    main(PROGRAM)
