"""`scaffold trust`: a root in the stores that this machine's programs trust, out of them again, and which have it."""

from __future__ import annotations

from scaffold.cli.lazy_verbs import LazyVerbs, group_of


class TrustVerbs(LazyVerbs):
    """What is done with stores of trusted roots."""

    package = "scaffold.cli.trust"
    verbs = {  # noqa: RUF012 - ClassVar by its base
        "install": "Have the system, browsers and Java of this machine trust the topology's root.",
        "uninstall": "Take the roots of this topology out of these stores, and nothing else.",
        "list": "Say which of these stores trust the topology's roots.",
    }


group = group_of(
    TrustVerbs,
    name="trust",
    does="Have this machine's programs trust a root, and undo it: the system's store, NSS (browsers), Java.",
    usage="VERB [ca.NAME] [OPTIONS]",
    example="What it would mean: scaffold trust install, which shows what the root may sign for, and asks",
)
