{% from "shared/in-package" import in_package -%}
{% call in_package() %}{% include "shared/standing.py" %}{% endcall -%}
