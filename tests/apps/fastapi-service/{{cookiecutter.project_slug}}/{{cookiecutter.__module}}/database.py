import sqlite3

connection = sqlite3.connect("{{ cookiecutter.project_slug }}.db")
