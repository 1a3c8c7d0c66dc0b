"""Pages of Django's admin: the overview, the runs, and what people do to them.

They are registered with the default site. A site of one's own registers them itself:
`site.register(Run, RunAdmin)` and `site.register(Overview, OverviewAdmin)`.
"""

from django.contrib import admin

from django_durably.admin.dashboard import OverviewAdmin
from django_durably.admin.inlines import RunsMixin
from django_durably.admin.run import RunAdmin
from django_durably.models import Overview, Run

__all__ = ["OverviewAdmin", "RunAdmin", "RunsMixin"]

admin.site.register(Run, RunAdmin)
admin.site.register(Overview, OverviewAdmin)
