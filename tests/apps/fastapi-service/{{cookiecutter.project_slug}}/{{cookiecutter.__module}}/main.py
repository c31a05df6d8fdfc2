from typing import Annotated

from fastapi import FastAPI, Header, HTTPException
{%- if cookiecutter.database == "sqlite" %}

from {{ cookiecutter.__module }} import database
{%- endif %}

app = FastAPI(title="{{ cookiecutter.project_name }}")


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/")
def hello(x_client_identity: Annotated[str | None, Header()] = None) -> dict[str, str]:
    if x_client_identity is None:
        raise HTTPException(403)
    return {"caller": x_client_identity}
