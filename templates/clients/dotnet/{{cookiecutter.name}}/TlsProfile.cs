{% extends "shared/TlsProfile.cs" %}
{% block namespace %}Client{% endblock %}
