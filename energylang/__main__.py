"""``python -m energylang`` is ``el``."""

import sys

from energylang.cli import main

sys.exit(main())
