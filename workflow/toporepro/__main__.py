"""``python -m toporepro``: the command line."""

import sys

from toporepro.cli import main

sys.exit(main())
