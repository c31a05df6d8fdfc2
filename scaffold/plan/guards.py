"""What changes at a project's door: whom it lets in, as what, and how it checks revocation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set

from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.store.projects import Guard


def role_changes(before: Guard, after: Guard) -> Iterator[Reason]:
    """Who is given which roles, and from whom they are taken."""
    if given := _roles_beyond(before, after, after.let_in.keys()):
        yield Reason(ReasonCode.ROLES_GIVEN, of=given)
    if taken := _roles_beyond(after, before, after.let_in.keys()):
        yield Reason(ReasonCode.ROLES_TAKEN, of=taken)


def not_in_force(before: Guard, after: Guard, *, has_allow_list: bool) -> Iterator[Reason]:
    """What the topology asks for, and a project that is held at `before` does not do.

    Of one that `has_allow_list` those who left are taken off meanwhile.
    """
    if after.check_revocation not in ("none", before.check_revocation):
        found, wanted = before.check_revocation, after.check_revocation
        yield Reason(ReasonCode.CHECK_NOT_IN_FORCE, found=found, wanted=wanted)
    if before.listen and before.listen != after.listen:
        yield Reason(ReasonCode.STILL_LISTENS, found=before.listen, wanted=after.listen)
    if new := _identities(after.let_in.keys() - before.let_in.keys()):
        yield Reason(ReasonCode.NOT_LET_IN, of=new)
    if more := _roles_beyond(before, after, before.let_in.keys()):
        yield Reason(ReasonCode.ROLES_NOT_IN_FORCE, of=more)
    former = _identities(before.let_in.keys() - after.let_in.keys())
    if former and not has_allow_list:
        yield Reason(ReasonCode.STILL_LET_IN, of=former)


def _roles_beyond(some: Guard, others: Guard, callers: Set[str]) -> str:
    """The roles of `callers` in `others` that they have not in `some`: `IDENTITY (ROLE, ROLE), IDENTITY (ROLE)`."""
    beyond = {
        caller: [role for role in others.roles[caller] if role not in some.roles.get(caller, ())]
        for caller in sorted(others.roles.keys() & callers)
    }
    return ", ".join(f"{caller.partition(' ')[2]} ({', '.join(roles)})" for caller, roles in beyond.items() if roles)


def _identities(callers: Iterable[str]) -> str:
    return ", ".join(sorted(caller.partition(" ")[2] for caller in callers))
