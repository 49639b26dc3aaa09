"""Prompts: ready-made requests a person can pick in the host."""

from __future__ import annotations

from typing import Annotated

from gatelodge_core.declare import Declarations
from pydantic import Field

from gatelodge_filesystem.workspace import Workspace

prompts = Declarations[Workspace]()


@prompts.prompt()
async def explain_folder(
    workspace: Workspace, path: Annotated[str, Field(description="The folder, as root/rest.")] = ""
) -> str:
    """Explain what a folder is for and how it is organised."""
    spot = workspace.spot(path or workspace.roots[0].name)
    return (
        f"Explain the folder {spot}: what it is for, how it is organised, and where a newcomer should start.\n"
        f"Look before you answer: call list_directory on {spot} with depth=2 and gitignore=true, then read the README "
        "and the few files that matter most with read_file. Name the files you base each statement on, and say what "
        "you could not find out."
    )


@prompts.prompt()
async def find_in_project(
    workspace: Workspace, question: Annotated[str, Field(description="What you want to find.")]
) -> str:
    """Find where something is done, decided or written in the files."""
    roots = ", ".join(root.name for root in workspace.roots)
    return (
        f"Find this in the files of {roots}: {question}\n"
        "Begin with search_text for the words that would stand there (several spellings, mode=files if there are many "
        "hits) and find_files for names that fit. Read the places with read_file before you answer. Answer with the "
        "paths and line numbers, the decisive lines quoted, and what you looked for without finding it."
    )
