"""Run the ``edge-runtime`` command as ``python -m edge_runtime``."""

import sys

from edge_runtime.cli.main import main

sys.exit(main())
