{#- Of a server whose run.sh keeps, in a folder of its own, its process id and a file `loaded` that is as old as what it has read. -#}
{% extends "shared/refresh.sh" %}

{% block about -%}
# Takes the CRLs that tls/crl-sources names from where their CAs publish them, and puts them into tls/crl.pem.
# Every run.sh of this folder that is at work then loads what is new in tls/, whoever put it there.
{% endblock %}

{% block reload -%}
reload() {
  for pid in {% block folders %}{% endblock %}/run.pid; do
    [ -f "$pid" ] && [ -n "$(find tls -type f -newer "${pid%/*}/loaded")" ] || continue
    kill -HUP "$(cat "$pid")" 2>"$work/said" || grep -q 'No such process' "$work/said" ||
      complain "tls/ is new, but {% block program %}{% endblock %} was not told ($pid): $(cat "$work/said")" || failed=1
  done
}
{%- endblock %}
