"""The settings of the web processes that these tests start: the suite's, with URLs of their own.

`DURABLY_TEST_WEB` (JSON) replaces settings for one process.
"""

import json
import os

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.sse.urls"
globals().update(json.loads(os.environ.get("DURABLY_TEST_WEB", "{}")))
