{# For a run.sh that was started with HUP ignored: it restarts itself, once. -#}
# Whether HUP arrives here. nohup has it ignored, and a shell cannot take that back (POSIX, trap).
hears_hup() {
    heard=
    trap 'heard=1' HUP
    kill -HUP $$
    [ -n "$heard" ]
}

hears_hup || {
    back='env --default-signal=HUP'
    $back true 2>/dev/null || back='perl -e $SIG{HUP}="DEFAULT";exec@ARGV'
    if [ -z "${HUP_IS_BACK:-}" ] && $back true 2>/dev/null; then
        HUP_IS_BACK=1 exec $back sh "$here/run.sh"
    fi
    say 'HUP is ignored here, so it will not reload; start it by setsid instead of nohup'
}
