"""The SDK's wire models are put off before its import, and nothing breaks where that can't be done."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_wire_models_are_built_when_they_are_used_and_check_as_ever() -> None:
    assert run("""
        from gatelodge_core.launch.deferring import defer_wire_models
        defer_wire_models()
        from mcp_types import _v2025_11_25 as wire, methods
        from pydantic import ValidationError
        built = [name for name, model in vars(wire).items() if name != "WireModel" and getattr(model, "__pydantic_complete__", False)]
        try:
            methods.validate_client_request("tools/call", "2025-11-25", {"name": 7})
        except ValidationError as error:
            print(len(built), error.errors()[0]["loc"])
        methods.validate_client_request("tools/call", "2025-11-25", {"name": "read_file", "arguments": {}})
        print(wire.CallToolRequest.__pydantic_complete__, wire.InitializeRequest.__pydantic_complete__)
    """).splitlines() == ["0 ('params', 'name')", "True False"]


def test_after_the_sdk_is_loaded_nothing_is_changed() -> None:
    assert (
        run("""
        import mcp_types.methods
        from gatelodge_core.launch.deferring import defer_wire_models
        defer_wire_models()
        from mcp_types._wire_base import WireModel
        print("defer_build" in WireModel.model_config)
    """)
        == "False"
    )


def test_an_sdk_that_has_changed_inside_is_left_alone() -> None:
    assert (
        run("""
        import sys
        sys.modules["mcp_types._wire_base"] = None
        from gatelodge_core.launch.deferring import defer_wire_models
        print(defer_wire_models())
    """)
        == "None"
    )
