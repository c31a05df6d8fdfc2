"""What the help of each verb says beside its options, and docs/commands.md with it: examples, exit codes, JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from scaffold.cli import failures

EVERYWHERE: Final[Mapping[int, str]] = MappingProxyType({
    0: "done",
    failures.ERROR: "an error, which is told on standard error",
    2: "the command line is wrong",
})  # fmt: skip
"""The exit codes of every verb."""

ADDRESS: Final = (
    "ca.NAME, server.NAME or client.NAME, by its name in the topology. What is added names a part of it: .certificate, "
    ".client-certificate, .crl, .ocsp, .trust, .bundle, .staple, .project or .app. `plan` and `status` show them."
)

_LEFT_UNDONE: Final = (failures.CONFLICT, "something was left undone, since it would have cost an edit of yours")

_LEFT_UNDONE_BY_APPLY: Final = (failures.CONFLICT, f"with --apply: {_LEFT_UNDONE[1]}")

_PLAN: Final[Mapping[str, str]] = MappingProxyType({
    "topology": "its name",
    "changes": "what would be done: `address`, `action`, `reasons` (`code`, `message`), `paths`",
    "notes": "sentences that are no changes",
    "summary": "how many changes there are of each action",
})  # fmt: skip

_ADDED: Final = (
    "What is not given is asked on a terminal; elsewhere it is an error that names the option. A mapping is written as "
    "in the topology: '{key: value}'. With --json and --apply, what was done is printed, as `apply --json` does."
)

_OUTCOME: Final[Mapping[str, str]] = MappingProxyType({
    "topology": "its name",
    "changes": "what was done: `address`, `action`, `reasons` (`code`, `message`), `paths`",
    "undone": "what would have cost an edit of yours, in the same form",
    "revoked": "how far each revocation reaches: `address`, `serial`, `not_after`, `refused_by`, `accepted_by`, …",
    "notes": "sentences that are no changes",
    "summary": "how many changes of each action were planned",
})  # fmt: skip


_TEMPLATES: Final[Mapping[str, str]] = MappingProxyType(
    {"templates": "each template: `template`, `role`, `summary`, `requires`, `variables`, `supports`, `owners`, …"}
)


@dataclass(frozen=True, slots=True)
class Manual:
    """Of one verb: an example, its exit codes beyond those of every verb, and the fields that `--json` prints.

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


MANUALS: Final[Mapping[str, Manual]] = MappingProxyType({
    "init": Manual(
        "scaffold init --example minimal",
        note="Without --example and --from it asks, on a terminal, and writes topology.schema.json beside FILE, for "
        "editors. It overwrites nothing.",
    ),
    "add ca": Manual(
        "scaffold add ca issuing --issuer root --path-length 0", dict([_LEFT_UNDONE_BY_APPLY]), _PLAN, note=_ADDED
    ),
    "add server": Manual(
        "scaffold add server billing --listen 127.0.0.1:8450 --names localhost,billing.internal --called-by web,cli",
        dict([_LEFT_UNDONE_BY_APPLY]),
        _PLAN,
        note=f"{_ADDED} A front with its app, from any cookiecutter template: --backend "
        "http://127.0.0.1:5000 --app '{template: gh:owner/name, run: [./start]}'. On a terminal, that template asks "
        "its own questions; --yes takes its own answers.",
    ),
    "add client": Manual(
        "scaffold add client teller --calls accounts,billing --apply",
        dict([_LEFT_UNDONE_BY_APPLY]),
        _PLAN,
        note=_ADDED,
    ),
    "remove": Manual(
        "scaffold remove server.billing --apply",
        dict([_LEFT_UNDONE_BY_APPLY]),
        _PLAN,
        addresses=True,
        note="The edges of its callers go with a server. With --apply and without a terminal, --yes says yes to all "
        "that is deleted.",
    ),
    "rename": Manual(
        "scaffold rename server.billing invoices",
        dict([_LEFT_UNDONE_BY_APPLY]),
        _PLAN,
        addresses=True,
        note="Its folder moves with what is yours in it, and what was issued to it stays its history. Its certificate "
        "names it, so that it gets another one. A CA can be renamed until it has been made.",
    ),
    "validate": Manual(
        "scaffold validate -f staging.yaml",
        note="It reads the topology alone: `plan` says whether its templates are there and can do what it asks for. "
        "Several may be named (`scaffold validate staging.yaml live.yaml`); the mistakes of all are told.",
    ),
    "plan": Manual(
        "scaffold plan --diff",
        {failures.SOMETHING_DUE: "with --check: something is to do, and cannot wait, or the ledger was lost"},
        _PLAN,
    ),
    "apply": Manual(
        "scaffold apply --overwrite server.api",
        dict([_LEFT_UNDONE]),
        _OUTCOME,
        addresses=True,
        note="Without a terminal it does not ask: --yes says yes to a CA that is replaced and to all that is deleted. "
        "--update merges a newer version of an app's template, or other answers, into the app.",
    ),
    "resolve": Manual("scaffold resolve server.api --mine", dict([_LEFT_UNDONE]), _OUTCOME, addresses=True),
    "verify": Manual(
        "scaffold verify --only server.api --ports auto",
        {
            failures.PROBE_FAILED: "a probe went the wrong way, a server did not start while another did, something "
            "had drifted, or nothing was tried"
        },
        {
            "checks": "probes: `server`, `client`, `probe`, `expected`, `observed`, `layer`, `detail`, `result`",
            "drift": "what is not as the topology says, in the form of a plan's changes",
            "summary": "how many probes `passed`, `failed` and were `skipped`",
        },
        addresses=True,
        note="With --running nothing is started: what answers at each server's `address` is probed, and what would "
        "need a false server or publisher is skipped with the reason. Without it, servers run here for the time of "
        "the probes.",
    ),
    "up": Manual(
        "scaffold up --only server.api --ports auto",
        dict([_LEFT_UNDONE]),
        addresses=True,
        note="Where nothing was applied yet, it applies the topology first, as `scaffold apply` does; later changes "
        "take an `apply`. Where the topology has `publish`, it serves CRLs, OCSP and CA certificates as well, whatever "
        "--only says: `scaffold publish` is not needed beside it, and cannot have the same port. Clients with `doors` "
        "are run as well, and --ports auto moves those on ports. It moves the app behind a front, too, where the app "
        "learns of its port from PORT and its `run` does not name it.",
    ),
    "call": Manual(
        "scaffold call client.cli server.api /orders",
        {
            failures.PROBE_FAILED: "the call is not listed in the topology, and the server let the caller in",
            failures.NOT_LET_IN: "the call is not listed in the topology, and the server refused it",
        },
        note="Both may be given by name alone (`scaffold call cli api`), or by address. It succeeds where the answer "
        "is 200, and prints what came with it. A call that is not listed is made with the caller's own certificate, "
        "and who refuses it is printed.",
        addresses=True,
    ),
    "publish": Manual(
        "scaffold publish --listen 0.0.0.0:9080",
        note="`scaffold up` publishes as well, at the same address: run one of them.",
    ),
    "status": Manual(
        "scaffold status --within 14d",
        {
            failures.SOMETHING_DUE: "something is due, missing or expired, or ends within the TIME; or the ledger was "
            "lost, in part or as a whole"
        },
        {
            "certificates": "`address`, `serial`, `not_before`, `not_after`, `state`, `detail`, `owner`, …",
            "crls": "`address`, `number`, `entries`, `this_update`, `next_update`, `state`, `detail`",
            "revoked": "what was revoked, and who refuses and accepts it",
            "notes": "what is to be said of a state that was lost",
        },
    ),
    "renew": Manual("scaffold renew client.cli", dict([_LEFT_UNDONE]), _OUTCOME, addresses=True),
    "revoke": Manual(
        "scaffold revoke client.cli --reason keyCompromise",
        dict([_LEFT_UNDONE]),
        _OUTCOME,
        addresses=True,
        note="It asks before it revokes anything. Without a terminal, --yes says yes to that.",
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
    ),
    "explain": Manual(
        "scaffold explain client.cli server.api",
        json={
            "caller": "of one call: who calls",
            "server": "who is called",
            "address": "where the server is dialled; of `explain ADDRESS` alone, whose calls they are",
            "listed": "whether the topology allows the call",
            "succeeds": "whether each check holds today; null where that cannot be said, since a file was changed",
            "verdict": "the same in one sentence",
            "refused_by": "who refuses, or null",
            "steps": "`step`, `by`, `sends`, `certificates`, `lines`, `checks` (`check`, `holds`, `message`, …)",
            "called": "what `verify` saw of the call, or null",
            "changed": "the files that decide the call and are not as the topology says",
        },
        addresses=True,
        note="Of one ADDRESS it says who may call it, why and until when, and whom it may call; --json has `address`, "
        "`callers`, `callees`, `lines` and `others` then. What would be answered is what the last `verify` saw.",
    ),
    "report": Manual(
        "scaffold report --html report.html",
        json={
            "topology": "its name; `at`: when the report was made; `applied`: `never`, `partly`, `behind` or `whole`",
            "pending": "how many changes of each action there are beside renewals",
            "cas": "each generation: `address`, `owner`, `issuer`, `certificate`, `crl`, `name_constraints`, …",
            "servers": "`address`, `owner`, `source`, `template`, `issuers`, `identity`, `listens`, `certificates`, "
            "`check_revocation`, `check_in_force`, `on_unavailable`, `accepts`, …",
            "clients": "the same",
            "calls": "who may call whom: `caller`, `server`, `identity`, `roles`, `expected`",
            "owners": "`owner` (null where nobody is named) and its `addresses`",
            "revoked": "`address`, `ca`, `serial`, `reason`, `at`, `on_crl_until`, and who refuses and accepts it",
            "verified": "what `verify` saw last: `at`, `summary`, `changed` (since then), `unknown`, `checks`; or null",
            "ends": "of certificates and CRLs, the next first: `at`, `address`, `state`, `crl`",
            "attention": "what somebody has to look at: `address`, `state`, `message`",
            "notes": "what is to be said of a state that was lost",
        },
        note="It is a document: what is due or broken in it is no error (`status` exits with 3 then).",
    ),
    "graph": Manual("scaffold graph --format dot"),
    "inspect": Manual("scaffold inspect shop/servers/api/tls/cert.pem"),
    "trust install": Manual(
        "scaffold trust install ca.root --store nss",
        note="It shows what the root may sign for, and asks; without a terminal, --yes says yes to that. A store that "
        "cannot be changed is named and left as it is, the others are changed, and it exits with 1. NSS databases are "
        "those of the user who runs it, and Java is that of JAVA_HOME, or else of the PATH.",
    ),
    "trust uninstall": Manual(
        "scaffold trust uninstall --store nss",
        note="It removes the roots of this topology, also one that `apply` has replaced since. What another topology "
        "of the same name has installed stays, and so does what was installed from a folder that is gone, unless "
        "--unknown is given. Without a terminal, --yes says yes to that.",
    ),
    "trust list": Manual(
        "scaffold trust list",
        json={
            "roots": "each root: `address`, `subject`, `fingerprint_sha256`, `not_after`, `may_sign_for`, `anything`, "
            "`stores` (`store`, `place`, `state`, `entries`)",
            "former": "roots of a topology of this name that are none of these: `store`, `place`, `entry`, "
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
        note="It exits with 1 where something is missing. A port that is taken is a note.",
    ),
    "faults": Manual(
        "scaffold faults --json",
        json={"faults": "each fault: `fault`, `wrong`, `noticed_by`, `rule`, `only_a_file`"},
    ),
    "completion": Manual(
        "scaffold completion bash > ~/.local/share/bash-completion/completions/scaffold",
        note="zsh reads it from a folder of $fpath as _scaffold, fish from ~/.config/fish/completions/scaffold.fish.",
    ),
    "schema": Manual("scaffold schema > topology.schema.json"),
})  # fmt: skip
