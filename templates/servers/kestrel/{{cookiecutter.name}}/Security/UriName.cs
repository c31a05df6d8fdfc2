{% extends "shared/UriName.cs" %}
{% block namespace %}Service.Security{% endblock %}
