{% extends "shared/ServerCertificateValidation.cs" %}
{% block namespace %}Client{% endblock %}
