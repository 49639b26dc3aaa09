"""Views beside results (MCP Apps, ``io.modelcontextprotocol/ui``): for hosts that say they show them, and nobody else.

words      the extension's words, and what a host's capabilities say of it; standard library only
page       a view's document, put together from files: one page, no network
showing    what a tool hands to its view beside its result
offering   the place in the SDK where all this is added, or left out
"""
