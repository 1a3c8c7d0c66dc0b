"""Finding the jobs of a project: the module `jobs` of every installed app."""

from django.utils.module_loading import autodiscover_modules


def autodiscover() -> None:
    """Import `jobs` of every installed app that has it, which registers the jobs within."""
    autodiscover_modules("jobs")
