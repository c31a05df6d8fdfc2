{% extends "shared/dotnet-run.sh" %}
{% block about -%}
# Builds the service where it is not built yet or has changed since, then runs it in the foreground.
# TERM ends it; HUP makes it read tls/ at once. LISTEN{% if cookiecutter.health %} and HEALTH{% endif %} (host:port) move it{% if cookiecutter.calls %}, CALL_NAME moves what it calls{% endif %}.
{%- endblock %}
{% block role %}server{% endblock %}
