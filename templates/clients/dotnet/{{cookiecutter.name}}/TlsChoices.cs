{% extends "shared/TlsChoices.cs" %}
{% block namespace %}Client{% endblock %}
