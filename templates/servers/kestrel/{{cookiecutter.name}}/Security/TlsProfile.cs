{% extends "shared/TlsProfile.cs" %}
{% block namespace %}Service.Security{% endblock %}
