"""`uvicorn --factory api.asgi:create`: one API process out of the environment.

Run it with `--http h11 --no-proxy-headers`: else uvicorn believes any process on the machine that
says it is a proxy. `seenit api` does, and refuses more (`cli.server.http_protocol`).
"""

from __future__ import annotations

import threading

from litestar import Litestar

from adapters import settings, wiring
from api.app import create_app


def create() -> Litestar:
    """Read the settings, connect everything, and make the app; what it opened, it closes.

    Where the broker is shared it has no models: workers have. Raise SettingsError,
    StoreUnavailableError.
    """
    read = settings.load()
    services = wiring.door(read)
    app = create_app(services)
    # Readiness says how far it is; the first requests do not wait for the models.
    loading = threading.Thread(target=services.models.load, name="models", daemon=True)
    app.on_startup.append(loading.start)
    app.on_shutdown.append(services.close)
    return app
