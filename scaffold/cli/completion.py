"""`scaffold completion`: the script with which a shell completes verbs, options and what the topology names."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from scaffold.cli.options import DEFAULT_FILE, Unused, UnusedFile

VARIABLE: Final = "_SCAFFOLD_COMPLETE"
"""Tells a command that a shell asks it what the last of its arguments may become."""


class Shell(enum.StrEnum):
    """The shells that are known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


# Each script asks the command itself, and reads lines of VALUE, a tab and what that is. No shell evaluates them: a
# topology of somebody else may name anything. Where there is nothing to offer, files are offered.
SCRIPTS: Final[Mapping[Shell, str]] = {
    Shell.BASH: r"""
_scaffold() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("${line%%$'\t'*}")
    done < <(_SCAFFOLD_COMPLETE=1 "$1" "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}

complete -o default -F _scaffold scaffold mtls-scaffold
""",
    Shell.ZSH: r"""
#compdef scaffold mtls-scaffold

_scaffold() {
    local line
    local -a offered
    for line in "${(@f)$(_SCAFFOLD_COMPLETE=1 "${(Q)words[1]}" "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
        [[ -n $line ]] && offered+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    if (( $#offered )); then
        _describe value offered
    else
        _files
    fi
}

# From a folder of $fpath this file is read at the first completion, as the body of the function that is then called.
if [[ $funcstack[1] == _scaffold ]]; then
    _scaffold "$@"
else
    compdef _scaffold scaffold mtls-scaffold
fi
""",
    Shell.FISH: r"""
function __scaffold_offered
    set -l words (commandline -opc)
    set -l offered (env _SCAFFOLD_COMPLETE=1 $words (commandline -ct) 2>/dev/null)
    if test (count $offered) -gt 0
        printf '%s\n' $offered
    else
        __fish_complete_path (commandline -ct)
    end
end

complete --command scaffold --no-files --arguments '(__scaffold_offered)'
complete --command mtls-scaffold --no-files --arguments '(__scaffold_offered)'
""",
}


def run(
    shell: Annotated[Shell, typer.Argument(help="The shell.")],
    file: UnusedFile = DEFAULT_FILE,
    out: Unused = None,
) -> None:
    """Print the script, for the shell to read when it starts."""
    typer.echo(SCRIPTS[shell].strip())


def offered(command: Any, words: Sequence[str]) -> list[str]:
    """Lines of VALUE, a tab and what it is: all that the last of `words` may become. None where a word is wrong."""
    from typer._completion_classes import FishComplete  # the plainest of typer's: nothing of it but the lookup is used

    before, incomplete = _split_at_equals(words)
    name, equals, _ = incomplete.partition("=")
    joined = f"{name}=" if equals and name.startswith("--") else ""
    try:
        items = FishComplete(command, {}, "scaffold", VARIABLE).get_completions(before, incomplete)
    except Exception:  # a word before is wrong: a shell is told nothing, and whoever runs the line what
        return []
    return [f"{joined}{item.value}\t{' '.join((item.help or '').split())}" for item in items]


def _split_at_equals(words: Sequence[str]) -> tuple[list[str], str]:
    """The words before the last, and that: bash makes three words of `--store=nss`, the others one."""
    return [word for word in words[:-1] if word != "="], words[-1] if words else ""
