GREETING = "{{ cookiecutter.greeting }}"
