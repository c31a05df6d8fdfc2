{% extends "shared/dotnet-run.sh" %}
{% block about -%}
# Builds the client where it is not built yet or has changed since, then runs it: run.sh [SERVER [URL]].
# Exit codes: 0 every call was answered, 3 I do not trust the server, 4 the server refused me, 5 not reachable.
{%- endblock %}
{% block role %}client{% endblock %}
{% block arguments %} "$@"{% endblock %}
