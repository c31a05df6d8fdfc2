{# A value as one word of a shell, whatever is in it. #}
{%- macro word(value) %}'{{ value | replace("'", "'\\''") }}'{% endmacro %}
