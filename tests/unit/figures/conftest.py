"""The invented tables of tests/unit/report serve the figures too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
