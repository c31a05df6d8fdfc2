{% extends "shared/ServerCertificateValidation.cs" %}
{% block namespace %}Client{% endblock %}
{% block roots %}Roots{% endblock %}
