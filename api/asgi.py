"""ASGI factory of one API process: `uvicorn --factory api.asgi:create`.

Run it with `--http h11 --no-proxy-headers`: otherwise uvicorn trusts proxy headers of any local
process. `seenit api` does so, and refuses more (`cli.server.http_protocol`).
"""

from __future__ import annotations

import threading

from litestar import Litestar

from adapters import settings, wiring
from api.app import create_app


def create() -> Litestar:
    """Return the app, connected as the environment says; it closes the services that it opened.

    With a shared broker the process has no models: the workers load them. Raise SettingsError,
    StoreUnavailableError.
    """
    read = settings.load()
    services = wiring.door(read)
    app = create_app(services)
    # Loaded in the background: /health/ready reports the state, and requests need not wait.
    loading = threading.Thread(target=services.models.load, name="models", daemon=True)
    app.on_startup.append(loading.start)
    app.on_shutdown.append(services.close)
    return app
