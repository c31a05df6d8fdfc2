from cookiecutter.utils import simple_filter


@simple_filter
def shout(text):
    return f"{text.upper()}!"
