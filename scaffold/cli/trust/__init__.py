"""`scaffold trust`: a root in the stores that this machine's programs trust, out of them again, and which have it."""

from __future__ import annotations

from scaffold.cli.lazy_verbs import LazyVerbs, group_of


class TrustVerbs(LazyVerbs):
    """What is done with stores of trusted roots."""

    package = "scaffold.cli.trust"
    verbs = {  # noqa: RUF012 - ClassVar by its base
        "install": "Make the system, browsers and Java of this machine trust the topology's root.",
        "uninstall": "Remove the roots of this topology, and nothing else, from these stores.",
        "list": "Show which of these stores trust the topology's roots.",
    }


group = group_of(
    TrustVerbs,
    name="trust",
    does="Make this machine's programs trust a root, or undo that: the system's store, NSS (browsers), Java.",
    usage="VERB [ca.NAME] [OPTIONS]",
    example="Start with: scaffold trust install, which shows the names that the root may sign for, and asks",
)
