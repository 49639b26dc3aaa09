"""Who the server is to GitHub: where its token comes from, and how it stays good.

Secrets are kept in a holder that shows nothing; nothing here can be pickled.
"""

from gatelodge_github.credentials.app import AppCredential, Exchange
from gatelodge_github.credentials.files import FileCredential
from gatelodge_github.credentials.model import Credential, NoCredential, StaticCredential
from gatelodge_github.credentials.secret import Sealed
from gatelodge_github.credentials.sources import VARIABLES, Asked, AskedFiles, find, of_account

__all__ = [
    "VARIABLES",
    "AppCredential",
    "Asked",
    "AskedFiles",
    "Credential",
    "Exchange",
    "FileCredential",
    "NoCredential",
    "Sealed",
    "StaticCredential",
    "find",
    "of_account",
]
