"""Where the frozen application begins."""

import sys

from ckptviewer.__main__ import main

sys.exit(main())
