{% extends "shared/start.py" %}
{% block about -%}
"""Starts the client: here NAME.py is what `import NAME` means.

No folder of that name takes its place, no compiled copy, and nothing on a path of somebody else's.
"""
{%- endblock %}
{% block module %}client{% endblock %}
