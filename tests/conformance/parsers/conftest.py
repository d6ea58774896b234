"""The rows of the hostile tests are seeds here."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "py" / "hostile"))
