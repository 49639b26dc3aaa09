"""Texts that do harm wherever they are taken for more than text."""

from __future__ import annotations

BIDI = "\u202e"
"""Turns the direction of all that follows."""
MARKUP = (
    '<img src=x onerror="top.hacked=hacked=1">',
    "</script><script>top.hacked=hacked=1</script>",
    "<svg onload=hacked=1>",
    "<iframe srcdoc='<script>top.hacked=1</script>'></iframe>",
    "{{constructor.constructor('hacked=1')()}}",
    "&lt;b&gt;not bold&lt;/b&gt;",
    "__proto__",
)
ADDRESSES = (
    "javascript:hacked=1",
    "JaVaScRiPt:hacked=1",
    " javascript:hacked=1",
    "java\nscript:hacked=1",
    "data:text/html,<script>hacked=1</script>",
    "file:///etc/passwd",
    "blob:null/x",
    "vbscript:x",
    "https://bank.example@evil.example/",
    "https://user:word@evil.example/",
    "//evil.example/",
    "",
    "https://",
)
"""No addresses of web pages, or such that mislead."""
