"""A site that serves no API."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
