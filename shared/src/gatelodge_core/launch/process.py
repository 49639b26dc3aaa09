"""Running a server in this process until the host or a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
from anyio.abc import TaskGroup

from gatelodge_core.errors import SettingsError
from gatelodge_core.launch.descriptors import Wire
from gatelodge_core.launch.porter.standing import Handover, Porter
from gatelodge_core.launch.stdio import serve as serve_stdio
from gatelodge_core.sandbox.kernel import confine
from gatelodge_core.server import Lodge

if TYPE_CHECKING:
    from gatelodge_core.launch.http import HttpOptions, HttpService

logger = logging.getLogger(__name__)

LEFTOVER_SECONDS = 2.0
"""How long worker threads may hold the exit; one can be stuck in a dead network mount for ever."""


def run(
    lodge: Lodge[object],
    wire: Wire | None,
    http: HttpOptions | None,
    *,
    require_sandbox: bool = False,
    porter: Porter | None = None,
) -> None:
    """Serve over stdio (`wire`) or HTTP (`http`) until the host or a signal ends it.

    Args:
        lodge: The server.
        wire: The host's streams.
        http: How to listen.
        require_sandbox: Whether to refuse to start when the kernel gives less than the profile asks for.
        porter: Who holds the host's streams so far.

    Raises:
        SettingsError: The HTTP address can't be used, or the confinement isn't complete and must be.
        ConfinementError: The process can't be confined in a way that holds.
        JournalError: No journal can be kept.
        UnportableSchemaError: A tool is declared with types that have no portable schema; not noticed beside a porter.
    """
    service = None
    if http is not None:
        from gatelodge_core.launch.http import HttpService  # noqa: PLC0415 - uvicorn is not loaded for stdio

        service = HttpService(lodge.lowlevel, http, lodge.ready)
    if porter is None:
        # Nobody has answered for the lists, and the first caller shouldn't pay for all tools.
        lodge.fill()
    handed = porter.leave() if porter is not None else None
    level = _enter(lodge, http, required=require_sandbox)
    if http is not None and http.metrics is not None:
        http.metrics.level = level
    if lodge.start is not None:
        lodge.start(level)
    # Everything imported so far lives as long as the process: keep the collector off it. It isn't asked first what of it
    # is garbage: that takes 90 ms, and finds next to nothing.
    gc.freeze()
    gc.enable()
    # A SIGINT in the moment before our handler is in place.
    with contextlib.suppress(KeyboardInterrupt):
        anyio.run(_serve, lodge, wire, service, handed, backend_options=_loop(lodge))


def _loop(lodge: Lodge[object]) -> dict[str, Any]:
    """Which event loop: on Windows the usual one can't watch the sockets that some drivers bring along."""
    if sys.platform == "win32" and lodge.selector_loop:
        return {"loop_factory": asyncio.SelectorEventLoop}
    return {}


def _enter(lodge: Lodge[object], http: HttpOptions | None, *, required: bool) -> str:
    """Confine the process, while it has one thread and its listening socket; the level reached, in words."""
    if lodge.profile is None:
        if required:
            raise SettingsError("--require-sandbox: confinement is switched off (sandbox = off)")
        return "off"
    profile = lodge.profile
    if http is not None:
        profile = profile.serving().reaching(http.connect, http.read)
    reached = confine(profile)
    logger.info("sandbox: %s", reached.summary())
    if required and not reached.complete:
        raise SettingsError(f"--require-sandbox: {'; '.join(reached.missing)}")
    return reached.summary()


async def _serve(lodge: Lodge[object], wire: Wire | None, service: HttpService | None, handed: Handover | None) -> None:
    life = lodge.life() if lodge.life else contextlib.nullcontext()
    async with life, anyio.create_task_group() as group:
        await group.start(_watch_signals, group, lodge, service)
        if service is not None:
            try:
                await service.serve()
            finally:
                await service.front.aclose()
        elif wire is not None:
            await serve_stdio(lodge.lowlevel, wire, handed=handed)
        group.cancel_scope.cancel()


async def _watch_signals(
    group: TaskGroup,
    lodge: Lodge[object],
    service: HttpService | None,
    *,
    task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """End on SIGINT or SIGTERM with every teardown run: HTTP drains, stdio is cancelled."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for number in signals:
            logger.info("ending on %s", signal.Signals(number).name)
            if service is None:
                group.cancel_scope.cancel()
            else:
                lodge.drain()
                service.stop()


def leave(status: int) -> NoReturn:
    """Exit with `status`, even if a worker thread never comes back."""
    sys.stderr.flush()
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(LEFTOVER_SECONDS)
            if thread.is_alive():
                os._exit(status)
    sys.exit(status)
