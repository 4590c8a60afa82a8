"""Entry point of ``python -m trainer``, the same as ``edge-trainer``."""

import sys

from trainer.cli.main import main

sys.exit(main())
