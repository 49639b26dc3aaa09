"""The lodge that every Gatelodge MCP server stands behind.

Who is calling (`auth`), may it (`guard`), what can it reach (`sandbox`), what happened (`audit`), and how a host
starts us (`launch`). `server` builds a guarded server from declarations (`declare`, `effects`).
"""

__version__ = "0.1.0"
