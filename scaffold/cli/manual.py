"""What the help of each verb says beside its options, and docs/commands.md with it: examples, exit codes, JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from scaffold.cli import failures

EVERYWHERE: Final[Mapping[int, str]] = MappingProxyType({
    0: "done",
    failures.ERROR: "an error; the message is on standard error",
    2: "the command line is wrong",
})  # fmt: skip
"""The exit codes of every verb."""

ADDRESS: Final = (
    "ca.NAME, server.NAME or client.NAME, as in the topology. A part of it is named by a suffix: .certificate, "
    ".client-certificate, .crl, .ocsp, .trust, .bundle, .staple, .project or .app. `plan` and `status` show the "
    "addresses."
)

_LEFT_UNDONE: Final = (failures.CONFLICT, "something was not done, since it would have overwritten an edit of yours")

_LEFT_UNDONE_BY_APPLY: Final = (failures.CONFLICT, f"with --apply: {_LEFT_UNDONE[1]}")

_PLAN: Final[Mapping[str, str]] = MappingProxyType({
    "topology": "its name",
    "changes": "each change that apply would make: `address`, `action`, `reasons` (`code`, `message`), `paths`",
    "notes": "remarks that are not changes, each a sentence",
    "summary": "how many changes there are of each action",
})  # fmt: skip

_ADDED: Final = (
    "On a terminal it asks for each required option that is missing; elsewhere that is an error that names them. "
    "Write a mapping as in the topology: '{key: value}', and a list (A,B) with commas, or in several options. "
    "With --json and --apply it prints the same JSON as `apply --json`."
)

_OUTCOME: Final[Mapping[str, str]] = MappingProxyType({
    "topology": "its name",
    "changes": "each change that was made: `address`, `action`, `reasons` (`code`, `message`), `paths`",
    "undone": "changes that were not made, since they would have overwritten an edit of yours; same form",
    "revoked": "the effect of each revocation: `address`, `serial`, `not_after`, `refused_by`, `accepted_by`, …",
    "notes": "remarks that are not changes, each a sentence",
    "summary": "how many changes of each action were planned",
})  # fmt: skip


_TEMPLATES: Final[Mapping[str, str]] = MappingProxyType(
    {"templates": "each template: `template`, `role`, `summary`, `requires`, `variables`, `supports`, `owners`, …"}
)


@dataclass(frozen=True, slots=True)
class Manual:
    """Of one verb: an example, its exit codes beyond those of every verb, and the fields that `--json` prints.

    `example`: the lines that a shell is given; a long command goes on after a backslash. `{template}` is one that
    servers and clients have.
    `addresses`: whether it takes addresses, which are explained then. `note`: what else there is to know.
    """

    example: str
    exits: Mapping[int, str] = field(default_factory=dict)
    json: Mapping[str, str] = field(default_factory=dict)
    addresses: bool = False
    note: str | None = None

    @property
    def exit_codes(self) -> Mapping[int, str]:
        """All of them, in order."""
        return dict(sorted({**EVERYWHERE, **self.exits}.items()))

    @property
    def printed(self) -> str:
        """The example with the name of a template in it: of those that are found, since none is known by name."""
        if "{template}" not in self.example:
            return self.example
        from scaffold.kinds.catalogue import builtin_names

        of_both = set(builtin_names("server")) & set(builtin_names("client"))
        return self.example.replace("{template}", max(of_both))

    @property
    def commands(self) -> list[str]:
        """The commands of the example, each on one line."""
        return self.printed.replace(" \\\n    ", " ").splitlines()


MANUALS: Final[Mapping[str, Manual]] = MappingProxyType({
    "init": Manual(
        "scaffold init --example minimal",
        note="Without --example and --from it asks, on a terminal. It also writes topology.schema.json beside "
        "FILE, for editors. It never overwrites a file.",
    ),
    "add ca": Manual(
        "scaffold add ca issuing --issuer root --path-length 0", dict([_LEFT_UNDONE_BY_APPLY]), _PLAN, note=_ADDED
    ),
    "add server": Manual(
        "scaffold add server billing --template {template} --listen 127.0.0.1:8450 \\\n"
        "    --names localhost,billing.internal --called-by web,cli",
        dict([_LEFT_UNDONE_BY_APPLY]),
        _PLAN,
        note=f"{_ADDED} A server in front of an app from a cookiecutter template: --backend http://127.0.0.1:5000 "
        "--app '{template: gh:owner/name, run: [./start]}'. On a terminal it also asks the questions of that template; "
        "--yes takes the template's own answers.",
    ),
    "add client": Manual(
        "scaffold add client teller --template {template} --calls accounts,billing --apply",
        dict([_LEFT_UNDONE_BY_APPLY]),
        _PLAN,
        note=_ADDED,
    ),
    "remove": Manual(
        "scaffold remove server.billing --apply",
        dict([_LEFT_UNDONE_BY_APPLY]),
        _PLAN,
        addresses=True,
        note="Removing a server also takes it out of the `calls` of its callers. With --apply and without a "
        "terminal, --yes confirms all that is deleted.",
    ),
    "rename": Manual(
        "scaffold rename server.billing invoices",
        dict([_LEFT_UNDONE_BY_APPLY]),
        _PLAN,
        addresses=True,
        note="Its folder is moved with your own files in it, and its earlier certificates stay on record. It "
        "gets a new certificate, since the certificate contains its name. A CA can be renamed only before "
        "`apply` has made it.",
    ),
    "validate": Manual(
        "scaffold validate -f staging.yaml",
        note="It reads the topology file alone; `plan` also checks that the templates exist and can do what the "
        "topology asks for. You can name several files (`scaffold validate staging.yaml live.yaml`); the "
        "mistakes in all of them are reported.",
    ),
    "plan": Manual(
        "scaffold plan --diff",
        {failures.SOMETHING_DUE: "with --check: there are changes that cannot wait, or the state was lost"},
        _PLAN,
    ),
    "apply": Manual(
        "scaffold apply --overwrite server.api",
        dict([_LEFT_UNDONE]),
        _OUTCOME,
        addresses=True,
        note="Without a terminal, give --yes to confirm that a CA is replaced or that files are deleted. "
        "--update ADDRESS merges a newer version of an app's template, or other answers to its questions, into the "
        "app.",
    ),
    "resolve": Manual("scaffold resolve server.api --mine", dict([_LEFT_UNDONE]), _OUTCOME, addresses=True),
    "verify": Manual(
        "scaffold verify --only server.api --ports auto",
        {
            failures.PROBE_FAILED: "a probe failed, a server did not start although another did, files have "
            "drifted, or nothing was tried"
        },
        {
            "checks": "probes: `server`, `client`, `probe`, `expected`, `observed`, `layer`, `detail`, `result`",
            "drift": "files that differ from the topology, in the form of a plan's changes",
            "summary": "how many probes `passed`, `failed` and were `skipped`",
        },
        addresses=True,
        note="Servers are started here, and stopped after the probes. With --running nothing is started: the "
        "server that answers at each `address` is probed, and probes that need a false server or publisher "
        "are skipped, with the reason.",
    ),
    "up": Manual(
        "scaffold up --only server.api --ports auto",
        dict([_LEFT_UNDONE]),
        addresses=True,
        note="If nothing was applied yet, it applies the topology first; later changes need a `scaffold apply`. "
        "If the topology has `publish`, it also serves CRLs, OCSP and CA certificates, whatever --only "
        "says: do not run `scaffold publish` beside it, which would need the same port. Clients with "
        "`doors` are started too; --ports auto moves doors that are on ports, and the app behind a server if it "
        "learns its port from PORT and `run` does not name the port.",
    ),
    "call": Manual(
        "scaffold call client.cli server.api",
        {
            failures.PROBE_FAILED: "the call is not listed in the topology, and the server let the caller in",
            failures.NOT_LET_IN: "the call is not listed in the topology, and the server refused it",
        },
        note="Give both by name (`scaffold call cli api`) or by address. It prints the body of the answer, and "
        "succeeds if the status is 200. A call that is not listed is tried with the caller's own "
        "certificate, and the side that refuses it is printed. It waits while `scaffold up` applies or starts the "
        "servers. If none runs and nobody listens, it waits for one to begin: 3 seconds, or 15 if nothing was applied.",
        addresses=True,
    ),
    "publish": Manual(
        "scaffold publish --listen 0.0.0.0:9080",
        note="The topology needs `publish`, the URL of what it serves. `scaffold up` publishes as "
        "well, at the same address: run one of them.",
    ),
    "status": Manual(
        "scaffold status --within 14d",
        {
            failures.SOMETHING_DUE: "something is due, missing or expired, or expires within TIME; or the state "
                                    "was lost, in part or as a whole"
        },
        {
            "certificates": "`address`, `serial`, `not_before`, `not_after`, `state`, `detail`, `owner`, …",
            "crls": "`address`, `number`, `entries`, `this_update`, `next_update`, `state`, `detail`",
            "revoked": "each revoked certificate, and which servers and clients refuse or accept it",
            "notes": "remarks on a state that was lost",
        },
    ),
    "renew": Manual("scaffold renew client.cli", dict([_LEFT_UNDONE]), _OUTCOME, addresses=True),
    "revoke": Manual(
        "scaffold revoke client.cli --reason keyCompromise",
        dict([_LEFT_UNDONE]),
        _OUTCOME,
        addresses=True,
        note="It asks before it revokes; without a terminal, give --yes.",
    ),
    "templates list": Manual("scaffold templates list", json=_TEMPLATES),
    "templates show": Manual("scaffold templates show ./mine", json=_TEMPLATES),
    "templates new": Manual("scaffold templates new mine"),
    "templates check": Manual(
        "scaffold templates check ./mine",
        {failures.PROBE_FAILED: "a check failed"},
        {
            "template": "its name",
            "role": "`server` or `client`",
            "checks": "each check: `check`, `result`, `detail`",
            "summary": "how many there are of each result",
        },
        note="It runs the template's own programs with your rights, and asks for no --trust: check only what you have "
        "read.",
    ),
    "explain": Manual(
        "scaffold explain client.cli server.api",
        json={
            "caller": "the caller, of one call",
            "server": "the server that is called",
            "address": "the address that the caller connects to; of `explain ADDRESS` alone, that server or client",
            "listed": "whether the topology allows the call",
            "succeeds": "whether each check holds today; null if a file was changed, so that this is not known",
            "verdict": "the same in one sentence",
            "refused_by": "the side that refuses, or null",
            "steps": "`step`, `by`, `sends`, `certificates`, `lines`, `checks` (`check`, `holds`, `message`, …)",
            "called": "the result of `verify` for the call, or null",
            "changed": "the files that decide the call and differ from what the topology says",
        },
        addresses=True,
        note="With one ADDRESS it lists the callers that are allowed there, why and until when, and the servers "
        "that it may call; --json then has `address`, `callers`, `callees`, `lines` and `others`. The "
        "answers shown are those that the last `verify` saw.",
    ),
    "report": Manual(
        "scaffold report --html report.html",
        json={
            "topology": "its name",
            "at": "when the report was made",
            "applied": "`never`, `partly`, `behind` or `whole`",
            "pending": "how many changes of each action there are beside renewals",
            "cas": "each generation: `address`, `owner`, `issuer`, `certificate`, `crl`, `name_constraints`, …",
            "servers": "`address`, `owner`, `source`, `template`, `issuers`, `identity`, `listens`, `certificates`, "
            "`check_revocation`, `check_in_force`, `on_unavailable`, `accepts`, …",
            "clients": "the same",
            "calls": "the allowed calls: `caller`, `server`, `identity`, `roles`, `expected`",
            "owners": "`owner` (null where none is given) and its `addresses`",
            "revoked": (
                "`address`, `ca`, `serial`, `reason`, `at`, `on_crl_until`, and which servers and clients refuse "
                "or accept it"
            ),
            "verified": "the last `verify`: `at`, `summary`, `changed` (since then), `unknown`, `checks`; or null",
            "ends": "of certificates and CRLs, the next first: `at`, `address`, `state`, `crl`",
            "attention": "entries that need attention: `address`, `state`, `message`",
            "notes": "remarks on a state that was lost",
        },
        note="It exits with 0 also if something is due or broken; use `status` for a check that exits with 3.",
    ),
    "graph": Manual("scaffold graph --format dot"),
    "inspect": Manual("scaffold inspect shop/servers/api/tls/cert.pem"),
    "trust install": Manual(
        "scaffold trust install ca.root --store nss",
        note="It shows which names the root may sign for, and asks; without a terminal, give --yes. If a store "
        "cannot be changed, it says so, changes the others, and exits with 1. It uses the NSS databases of "
        "the user that runs it, and the Java of JAVA_HOME, or else of the PATH.",
    ),
    "trust uninstall": Manual(
        "scaffold trust uninstall --store nss",
        note="It removes the roots of this topology, also one that `apply` has replaced since. Roots of another "
        "topology of the same name stay, and so do roots installed from a folder that is gone, unless "
        "--unknown is given. It asks; without a terminal, give --yes.",
    ),
    "trust list": Manual(
        "scaffold trust list",
        json={
            "roots": "each root: `address`, `subject`, `fingerprint_sha256`, `not_after`, `may_sign_for`, `anything`, "
            "`stores` (`store`, `place`, `state`, `entries`)",
            "former": "other roots that were installed for a topology of this name: `store`, `place`, `entry`, "
            "`fingerprint_sha256`, `known` (whether this one made it)",
            "unreadable": "stores that cannot be read: `store`, `place`, `why`",
        },
    ),
    "doctor": Manual(
        "scaffold doctor",
        json={
            "needs": "each need: `need`, `template`, `of`, `state`, `found`, `install`",
            "summary": "how many are `present`, `missing`, or a `note`",
        },
        note="It exits with 1 if something is missing. A port that is in use is a note.",
    ),
    "faults": Manual(
        "scaffold faults --json",
        json={"faults": "each fault: `fault`, `wrong`, `noticed_by`, `rule`, `only_a_file`"},
    ),
    "completion": Manual(
        "mkdir -p ~/.local/share/bash-completion/completions\n"
        "scaffold completion bash > ~/.local/share/bash-completion/completions/scaffold",
        note=(
            "For the bash that is running, and for one without the package bash-completion: "
            "`. <(scaffold completion bash)`. For zsh, save it as _scaffold in a folder of $fpath; for fish, as "
            "~/.config/fish/completions/scaffold.fish."
        ),
    ),
    "schema": Manual("scaffold schema > topology.schema.json"),
})  # fmt: skip
