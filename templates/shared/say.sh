{# How a run.sh says something, and how it gives up. -#}
# Where what is said cannot be written (a full disk, a reader that is gone), all goes on.
say() {
    printf '%s: %s\n' {{ cookiecutter.name }} "$1" >&2 || :
}

fail() {
    say "$1"
    exit 1
}
