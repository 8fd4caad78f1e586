"""``python -m simlab`` is the command line."""

import sys

from simlab.cli import main

sys.exit(main())
