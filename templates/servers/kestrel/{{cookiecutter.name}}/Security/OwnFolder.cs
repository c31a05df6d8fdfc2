{% extends "shared/OwnFolder.cs" %}
{% block namespace %}Service.Security{% endblock %}
{% block what %}service{% endblock %}
{% block options %}MutualTlsOptions{% endblock %}
