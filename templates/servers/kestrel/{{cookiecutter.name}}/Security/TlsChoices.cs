{% extends "shared/TlsChoices.cs" %}
{% block namespace %}Service.Security{% endblock %}
