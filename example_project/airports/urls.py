from django.urls import path

from example_project.airports import views

urlpatterns = [
    path("", views.home, name="home"),
    path("react/", views.react_page, name="react"),
    path("airports/", views.AirportList.as_view(), name="airports"),
    path("trigger/<str:job_name>/", views.trigger, name="trigger"),
    path("runs/<uuid:run_id>/", views.run_detail, name="run"),
    path("runs/<uuid:run_id>/cancel/", views.cancel, name="cancel"),
    path("runs/<uuid:run_id>/retrigger/", views.retrigger, name="retrigger"),
    path("runs/<uuid:run_id>/delete/", views.delete, name="delete"),
]
