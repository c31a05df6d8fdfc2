"""What the service answers, by path. This file is yours: it was written once, and is never touched again.

guard.py lets nobody get here who may not call, whatever the path and method, and `/.mtls/caller` and `/call/NAME` are
answered before anything is looked for here.
"""

from __future__ import annotations

from routing import Answer, Request


def home(request: Request) -> Answer:
    """The greeting, and who called."""
    return Answer({**request.who_called(), "greeting": request.settings.greeting})


ROUTES = {
    "GET /": home,
}
"""Functions by method and path; HEAD is GET without the body. A path that ends in `/...` stands for all below it, and
the longest one counts: `"POST /orders": create`, `"GET /orders/...": show`."""
