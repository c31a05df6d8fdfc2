{% extends "shared/UriName.cs" %}
{% block namespace %}Client{% endblock %}
