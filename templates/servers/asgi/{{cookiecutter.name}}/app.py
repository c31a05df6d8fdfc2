"""What the service answers. This file is yours: it was written once, and is never touched again.

`app` may be any ASGI application. Nobody gets here who may not call, whatever the path and method: mtls/guard.py has
decided before. `/.mtls/caller` and `/call/NAME` are answered before anything is looked for here.
"""

from typing import Annotated, Any

from fastapi import Depends, FastAPI

from mtls import Caller, get_caller, own_settings

settings = own_settings()
app = FastAPI(title=settings.name)


@app.get("/")
async def home(caller: Annotated[Caller, Depends(get_caller)]) -> dict[str, Any]:
    """The greeting, and who called."""
    return {
        "server": settings.name,
        "caller": caller.identity,
        "roles": caller.roles,
        "on_behalf_of": caller.on_behalf_of,
        "greeting": settings.greeting,
    }
