"""The example site, and a page with many widgets on it."""

from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from django_durably import Run
from example_project.urls import urlpatterns as site

PAGE = """<!doctype html><html lang="en"><title>Widgets</title>
<link rel="icon" href="data:,">{% load durably %}
{% for run in runs %}{% durably_run run steps=False %}{% endfor %}
{% durably_runs job="nearest-airports" limit=3 %}{% durably_runs limit=2 %}</html>"""


@csrf_exempt
def widgets(request: HttpRequest) -> HttpResponse:
    runs = Run.objects.filter(pk__in=request.GET.getlist("run")).order_by("pk")
    template = engines["django"].from_string(PAGE)
    return HttpResponse(template.render({"runs": runs}, request))


urlpatterns = [path("widgets/", widgets), *site]
