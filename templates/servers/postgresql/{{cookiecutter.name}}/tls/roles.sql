{%- import "shared/postgresql-role" as role -%}
-- The roles of those who may call {{ cookiecutter.name }}, made where they are missing; what they may do is yours to grant.
{%- for caller in cookiecutter.allowed | unique(true, 'caller') %}
SELECT 'CREATE ROLE "{{ role.of(caller.name) }}" LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{{ role.of(caller.name) }}') \gexec
COMMENT ON ROLE "{{ role.of(caller.name) }}" IS '{{ caller.identity | replace("'", "''") }}';
{%- endfor %}
