{% extends "shared/OwnFolder.cs" %}
{% block namespace %}Client{% endblock %}
{% block what %}client{% endblock %}
{% block options %}ClientOptions{% endblock %}
