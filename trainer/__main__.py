"""``python -m trainer`` is ``edge-trainer``."""

import sys

from trainer.cli import main

sys.exit(main())
