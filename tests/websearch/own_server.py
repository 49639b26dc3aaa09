"""The real server as a process of its own, except that names are looked up in the corpus's table.

    python -m tests.websearch.own_server [SETTINGS...]

Run it in a network namespace of loopback alone: its sockets are real.
"""

from __future__ import annotations

from gatelodge_core.launch.entry import Program, main
from gatelodge_core.sandbox.egress import Egress
from gatelodge_core.server import Lodge
from gatelodge_websearch import server
from gatelodge_websearch.settings import WebsearchSettings
from gatelodge_websearch.web import Web, page_egress

from tests.sandbox.egress.corpus import ANSWERS
from tests.sandbox.egress.site import OTHER, PUBLIC, Names

# The second answer must never be used: the first is what was judged.
REBINDING: dict[str, list[list[str]]] = {
    f"rebind{number}.example.com": [[PUBLIC], ["127.0.0.1"]] for number in range(4)
} | {"rebound.example.com": [["127.0.0.1"], [PUBLIC]], "other.example.com": [[OTHER]]}


def build(settings: WebsearchSettings) -> Lodge[Web]:
    """The server's own build, with a resolver that has a table."""
    web = Web(settings, pages=Egress(page_egress(settings), resolver=Names(ANSWERS | REBINDING)))
    web.pdf.start()
    return server.build(settings, web)


PROGRAM = Program("websearch", "gatelodge_websearch.settings:WebsearchSettings", "tests.websearch.own_server:build")

if __name__ == "__main__":
    main(PROGRAM)
