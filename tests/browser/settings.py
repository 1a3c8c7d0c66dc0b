"""The settings of the example site, with leases short enough to see a dead worker replaced."""

from example_project.settings import *  # noqa: F403

DURABLY = {"LEASE_SECONDS": 2, "LEASE_RENEW_SECONDS": 0.5, "POLL_SECONDS": 0.2}
ROOT_URLCONF = "tests.browser.urls"
