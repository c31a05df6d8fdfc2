{% extends "shared/StrictJson.cs" %}
{% block namespace %}Service.Security{% endblock %}
