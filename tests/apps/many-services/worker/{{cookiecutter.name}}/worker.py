QUEUE = "{{ cookiecutter.queue }}"
