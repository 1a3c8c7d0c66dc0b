"""Routes for WebSockets beside the site's HTTP: one for everybody, one for tenants, the default."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.sse.settings")

http = get_asgi_application()

from django.urls import path  # noqa: E402

from django_durably.access import AllowAny  # noqa: E402
from django_durably.websocket.consumer import DurablyConsumer  # noqa: E402
from django_durably.websocket.routing import websocket_urlpatterns  # noqa: E402
from tests.sse.urls import TenantPolicy  # noqa: E402

routes = [
    path("everybody", DurablyConsumer.as_asgi(policy=AllowAny())),
    path("tenants", DurablyConsumer.as_asgi(policy=TenantPolicy())),
    *websocket_urlpatterns,
]
application = ProtocolTypeRouter(
    {"http": http, "websocket": AuthMiddlewareStack(URLRouter(routes))}
)
