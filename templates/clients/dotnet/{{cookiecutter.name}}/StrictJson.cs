{% extends "shared/StrictJson.cs" %}
{% block namespace %}Client{% endblock %}
