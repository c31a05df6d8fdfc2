{# What a run.sh does for HUP. Its own `load` reads everything again; `loading` is set until it serves, `ending` once it is told to
stop; `again` is what was asked for meanwhile, and `interrupted` says that a `wait` ended early. -#}
# When HUP comes again meanwhile, a shell runs this in the middle of itself: that is noted, and one more time is enough for
# all. And it no longer waits for a command that it runs, whose outcome is lost; for one in the background it can wait again.
reload() {
    interrupted=1
    [ -z "$ending" ] || return 0
    again=1
    [ -z "$loading" ] || return 0
    while [ -n "$again" ]; do
        loading=1
        while [ -n "$again" ]; do
            again=
            load &
            while kill -0 $! 2>/dev/null; do wait $! || :; done
        done
        loading=
    done
}
