#!/bin/sh
set -e
git init --quiet .
ln -s settings.{{ cookiecutter.slug }}.ini settings.ini
