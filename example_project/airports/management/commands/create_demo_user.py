from typing import Any

from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.core.management.base import BaseCommand, CommandError

NAME = PASSWORD = "demo"


class Command(BaseCommand):
    help = "Creates the user demo, password demo, who may see and trigger runs and edit airports."

    def handle(self, *, verbosity: int, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("A user whose password everybody knows: only with DEBUG.")
        user, _ = User.objects.get_or_create(username=NAME)
        user.is_staff = True
        if not user.check_password(PASSWORD):  # a new hash would end the user's sessions
            user.set_password(PASSWORD)
        user.save()
        apps = ["airports", "durably"]
        user.user_permissions.set(Permission.objects.filter(content_type__app_label__in=apps))
        if verbosity:
            self.stdout.write(f"User {NAME}, password {PASSWORD}.")
