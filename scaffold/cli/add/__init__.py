"""`scaffold add`: one CA, server or client more in the topology, by options or by answers."""

from __future__ import annotations

from typing import Any

from scaffold.cli.lazy_verbs import LazyVerbs, group_of


class AddVerbs(LazyVerbs):
    """What can be added. Each takes the fields that the language gives it as options."""

    package = "scaffold.cli.add"
    verbs = {  # noqa: RUF012 - ClassVar by its base
        "ca": "Add a CA to the topology, and show the plan.",
        "server": "Add a server to the topology and to the `calls` of its callers, and show the plan.",
        "client": "Add a client to the topology, and show the plan.",
    }

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        from scaffold.cli.add.fields import options
        from scaffold.topology.address import Role

        known = cmd_name in self.commands
        command = super().get_command(ctx, cmd_name)
        if command is not None and not known:
            command.params += options(Role(cmd_name))
        return command


group = group_of(
    AddVerbs,
    name="add",
    does="Add a CA, server or client to the topology; the rest of the file is not changed.",
    usage="ROLE NAME [OPTIONS]",
    example="Without options it asks, on a terminal: scaffold add server billing",
)
