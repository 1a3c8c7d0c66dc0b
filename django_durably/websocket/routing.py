"""The routes for Channels' `URLRouter`, under the policy of the settings."""

from django.urls import path

from django_durably.websocket.consumer import DurablyConsumer

websocket_urlpatterns = [path("ws/durably", DurablyConsumer.as_asgi())]
