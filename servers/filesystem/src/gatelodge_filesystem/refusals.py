"""What a jail refuses, in the words and with the code that callers get."""

from __future__ import annotations

from gatelodge_core.errors import (
    AlreadyExists,
    BadName,
    Denied,
    IsADirectory,
    JailError,
    NotADirectory,
    NotEmpty,
    NotFound,
    Protected,
    ReadOnly,
    SpecialFile,
)

_CODES: dict[type[JailError], tuple[str, str]] = {
    NotFound: ("not_found", "there is no such file or folder."),
    AlreadyExists: ("exists", "something of this name is there already."),
    NotADirectory: ("not_a_directory", "this is not a folder."),
    IsADirectory: ("is_a_directory", "this is a folder, not a file."),
    NotEmpty: ("not_empty", "the folder is not empty."),
    SpecialFile: ("is_special_file", "this is a pipe, socket or device, which is never opened."),
    BadName: ("bad_name", "the path has a part that can't be a name (over 255 bytes, or a NUL)."),
    Denied: ("permission_denied", "the operating system does not let this server do that."),
    ReadOnly: ("read_only_root", "this root was granted for reading only."),
    Protected: (
        "protected",
        "this holds credentials, or is this server's own: listed, never opened (--allow-credentials names exceptions).",
    ),
}


def worded(error: JailError) -> tuple[str, str]:
    """The code and the sentence for an error of a jail."""
    return next(
        (entry for kind, entry in _CODES.items() if isinstance(error, kind)), ("unusable", "this can't be used.")
    )
