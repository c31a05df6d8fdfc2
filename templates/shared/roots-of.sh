# The roots that vouch for each server, and for no other.
roots_of() {
  case $1 in
{%- for call in cookiecutter.calls %}
    {{ call.name }}) echo {{ call.trust }} ;;
{%- endfor %}
    *) return 1 ;;
  esac
}
