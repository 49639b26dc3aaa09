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


@prompts.prompt()
async def review_changes(
    workspace: Workspace,
    path: Annotated[str, Field(description="The folder, as root/rest.")] = "",
    since: Annotated[str, Field(description="ISO 8601 date or time, for example 2026-01-31.")] = "",
) -> str:
    """Review what changed lately in a folder."""
    spot = workspace.spot(path or workspace.roots[0].name)
    when = f"since {since}" if since else "most recently"
    after = f' and modified_after="{since}"' if since else ""
    return (
        f"Review what changed {when} in {spot}.\n"
        f"Call find_files on {spot} with sort=mtime{after} for the files, newest first, then read_files for their text; "
        "where an older copy or a sibling shows what a file was, diff_files compares them. Tell, file by file, what the "
        "change does, what looks wrong, unfinished or risky, and what is missing (tests, documentation). Quote the lines "
        "you mean, with their numbers. Change nothing."
    )


@prompts.prompt()
async def safe_rename(
    workspace: Workspace,
    old: Annotated[str, Field(description="The name as it is: a word in the text, or a file's name.")],
    new: Annotated[str, Field(description="The name it is to get.")],
    glob: Annotated[str, Field(description="Which files, for example **/*.py.")] = "",
) -> str:
    """Rename a word or file everywhere it is used, and show each place before it is changed."""
    roots = ", ".join(root.name for root in workspace.roots)
    where = f" with globs=[{glob!r}]" if glob else ""
    return (
        f"Rename {old!r} to {new!r} in {roots}, without breaking anything.\n"
        f"1. search_text for {new!r}{where}: if it is in use already, stop and say where.\n"
        f"2. search_text for {old!r}{where}, word=true, mode=content, hidden=true, and find_files for names that hold it; "
        "page on until nothing is left. Leave out what only looks alike, and say what you leave out and why.\n"
        "3. Show the list of places, and wait for a yes.\n"
        "4. Change file by file with edit_file, each with the if_match of the version you read, dry_run=true first.\n"
        f"5. search_text for {old!r} again, and tell what remains."
    )


@prompts.prompt()
async def tidy_folder(
    workspace: Workspace, path: Annotated[str, Field(description="The folder, as root/rest.")] = ""
) -> str:
    """Propose an order for a folder: what to group, rename or throw away. Nothing moves without a yes."""
    spot = workspace.spot(path or workspace.roots[0].name)
    return (
        f"Propose an order for {spot}.\n"
        f"Call list_directory on {spot} with depth=3 and page through it; read_files shows what unclear names hold, "
        "get_file_info gives etags, by which files with the same content are found. Then give a table: what is there "
        "now, where it belongs, and why; name duplicates, empty files and leftovers of programs apart. Keep what a "
        "program may look for by its place (settings, build files, anything a search_text for its name finds). Change "
        "nothing until the person has said yes to the table, then go step by step and tell what was done."
    )
