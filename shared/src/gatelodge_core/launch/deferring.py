"""The SDK's wire models, built when one is first used.

It has some 400 of them, one set for each protocol revision, and builds all at its import. A connection needs a dozen.
"""

from __future__ import annotations

import contextlib
import sys


def defer_wire_models() -> None:
    """Let pydantic put off building them (its ``defer_build``); to be called before the SDK is imported.

    Where the SDK is loaded already, or has changed inside, nothing is done: it then builds them as it always did.
    """
    if "mcp_types.methods" in sys.modules:
        return
    with contextlib.suppress(ImportError):
        from mcp_types._wire_base import WireModel  # noqa: PLC0415 - the first answer would wait for it

        WireModel.model_config["defer_build"] = True
