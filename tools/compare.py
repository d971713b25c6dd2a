"""Time and check every kernel on a network's layers; tools/compare sets up and runs this file."""

from __future__ import annotations

import sys

from striate.compare import main

try:
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(130)
