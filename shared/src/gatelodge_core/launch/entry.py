"""The one entry function of all servers: settings, descriptors, logging, build, run, leave.

Nothing of the SDK is imported before the settings are known to be good, so that ``--help``, ``--version`` and a bad
setting answer at once. On stdio the host's first messages don't even wait for that: see `porter`. What this module itself
imports, they do wait for.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING, NamedTuple, NoReturn, cast

from gatelodge_core.errors import GatelodgeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatelodge_core.declare import Declarations
    from gatelodge_core.guard.cleansing import Cleanser
    from gatelodge_core.launch.http import HttpOptions
    from gatelodge_core.launch.porter.posting import Post
    from gatelodge_core.server import Lodge
    from gatelodge_core.settings import LodgeSettings

USAGE_ERROR = 2


class Program(NamedTuple):
    """What `main` needs to start a server, as names, so that nothing is imported before its turn.

    Args:
        server: Short name, such as ``filesystem``.
        settings: ``module:Class`` of the settings model.
        build: ``module:function`` that makes the `Lodge` from the settings.
        offers: ``module:attribute`` with all `Declarations`, whatever the settings.
        surface: ``module:function`` that chooses from the surface file beside the module, by the settings.
    """

    server: str
    settings: str
    build: str
    offers: str = ""
    surface: str = ""

    @property
    def name(self) -> str:
        """The distribution's and the command's name."""
        return f"gatelodge-{self.server}"


def main(program: Program, argv: Sequence[str] | None = None) -> NoReturn:
    """Run a server until its host ends it, and exit.

    Exit status: 0 after a normal end, 2 if the settings can't be used, 1 if the server itself failed, 74 if what
    was asked for, such as ``--version``, can't be written.
    """
    # Ctrl-C before there is anything to tear down ends the process as SIGTERM does, rather than with a stack.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if os.environ.get("HOME") == "":
        # Taken as it is, it would make `~/notes` a folder at the very top; without it the user's own entry counts.
        del os.environ["HOME"]
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "--version" in arguments:
        _say(program, _version)
    if arguments == ["--describe"]:
        _say(program, _describe)
    # The collector would walk some hundred thousand objects during the imports; none of them is garbage.
    gc.disable()
    posted = _post(program, arguments)
    try:
        settings = cast("type[LodgeSettings]", _load(program.settings)).load(arguments)
        from gatelodge_core.sandbox._environ import scrub  # noqa: PLC0415 - as above

        scrub(settings.secret_variables())
        _run(program, settings, posted)
    except GatelodgeError as error:
        if posted is not None and posted.porter is not None:
            posted.porter.dismiss()
        sys.stderr.write(f"{program.name}: {error}\n")
        sys.exit(USAGE_ERROR)
    from gatelodge_core.launch.process import leave  # noqa: PLC0415 - loaded with the SDK by now

    leave(0)


def _post(program: Program, arguments: Sequence[str]) -> Post | None:
    """A porter for the host's first messages, where there can be one."""
    if not program.surface:
        return None
    from gatelodge_core.launch.porter.posting import post  # noqa: PLC0415 - not for --version

    return post(program.surface, arguments)


def _run(program: Program, settings: LodgeSettings, posted: Post | None) -> None:
    import logging  # noqa: PLC0415 - the first answer would wait for it

    wire = posted.wire if posted is not None else None
    if wire is None and not settings.http:
        from gatelodge_core.launch.descriptors import claim  # noqa: PLC0415 - only for stdio

        if sys.stdin is not None and sys.stdin.isatty():
            sys.stderr.write(f"{program.name}: waiting for an MCP host on standard input; see --help\n")
        wire = claim()
    form = f"%(asctime)s {program.name}[%(process)d] %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(stream=sys.stderr, level=settings.log_level.upper(), format=form)
    from gatelodge_core.launch.deferring import defer_wire_models  # noqa: PLC0415 - brings part of the SDK

    defer_wire_models()
    build = cast("Callable[[LodgeSettings], Lodge[object]]", _load(program.build))
    from gatelodge_core.guard.cleansing import CleanFormatter  # noqa: PLC0415 - brings the SDK
    from gatelodge_core.keeper import cleanser_of  # noqa: PLC0415
    from gatelodge_core.launch.process import run  # noqa: PLC0415

    def cleanse_logs(cleanser: Cleanser) -> None:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(CleanFormatter(form, cleanser))

    cleanse_logs(cleanser_of(settings))
    lodge = build(settings)
    # A server may have found a secret of its own, such as a token in a keyring, and added it to the settings.
    cleanse_logs(lodge.cleanser or cleanser_of(settings))
    run(
        lodge,
        wire,
        _http(settings, lodge),
        require_sandbox=settings.require_sandbox,
        porter=posted.porter if posted is not None else None,
    )


def _say(program: Program, words: Callable[[Program], str]) -> NoReturn:
    from gatelodge_core import outlet  # noqa: PLC0415 - the first answer would wait for it

    def write() -> int:
        sys.stdout.write(f"{words(program)}\n")
        return 0

    sys.exit(outlet.run(program.name, write))


def _version(program: Program) -> str:
    from importlib.metadata import version  # noqa: PLC0415 - the first answer would wait for it

    return f"{program.name} {version(program.name)}"


def _describe(program: Program) -> str:
    """What the server offers as JSON, for ``gatelodge policy``, which knows no server."""
    import json  # noqa: PLC0415 - the first answer would wait for it

    offers = cast("Declarations[object]", _load(program.offers))
    tools = [
        {"name": tool.name, "effect": str(tool.nature.effect), "default": str(tool.nature.default_rule)}
        for tool in offers.tools.values()
    ]
    return json.dumps({"server": program.server, "tools": tools})


def _http(settings: LodgeSettings, lodge: Lodge[object]) -> HttpOptions | None:
    if not settings.http:
        return None
    from gatelodge_core.launch.serving import options  # noqa: PLC0415 - brings uvicorn

    return options(settings, lodge)


def _load(name: str) -> object:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
