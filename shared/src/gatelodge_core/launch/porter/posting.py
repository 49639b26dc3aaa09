"""Whether a porter stands at the gate of this start, and with which answers."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from gatelodge_core.launch.descriptors import Wire, claim
from gatelodge_core.launch.porter.given import Given, Unknown
from gatelodge_core.launch.porter.standing import Porter, possible, stand
from gatelodge_core.launch.porter.surface import Answers, Choose, policy_of, read


class Post(NamedTuple):
    """A porter at its post.

    Args:
        wire: The host's streams, claimed.
        porter: Who holds them; None if it could not be had, and they are only claimed.
    """

    wire: Wire
    porter: Porter | None


def post(surface: str, arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Post | None:
    """Have a porter take the host's messages, if it can be told how they would be answered.

    Args:
        surface: ``module:function`` that chooses; the file is beside the module. Empty if there is none.
        arguments: The command line.
        environment: The variables.

    Returns:
        None if there is no porter: the settings are to judge, and nothing was touched.
    """
    if not surface or not possible():
        return None
    try:
        answers = answers_of(surface, arguments, environment)
    except Unknown:
        return None
    wire = claim()
    return Post(wire, stand(wire, answers))


def answers_of(surface: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Answers:
    """What the server would answer under these settings.

    Args:
        surface: As of `post`.
        arguments: The command line.
        environment: The variables.

    Raises:
        Unknown: That can't be told, or it serves HTTP.
    """
    name, _, function = surface.partition(":")
    module = importlib.import_module(name)
    found = read(os.path.dirname(str(module.__file__)))
    given = Given(found["server"], found["settings"], found["positional"], arguments, environment)
    if given.text("http"):
        raise Unknown("http")
    choose = cast("Choose", getattr(module, function))
    return Answers(found, choose(given), policy_of(given, environment), views=given.flag("apps", default=True))
