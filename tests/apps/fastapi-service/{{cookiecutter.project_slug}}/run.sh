#!/bin/sh
exec uvicorn {{ cookiecutter.__module }}.main:app --host 127.0.0.1 --port "${PORT:-5000}"
