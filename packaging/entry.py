"""Where the frozen application begins."""

import os
import sys

# The libraries that it brings along are its own: programs that it starts, such as the interpreter
# that validates with TensorFlow, must not be made to load them. Its own loading is not affected.
if original := os.environ.get("LD_LIBRARY_PATH_ORIG"):
    os.environ["LD_LIBRARY_PATH"] = original
else:
    os.environ.pop("LD_LIBRARY_PATH", None)

if "--multiprocessing-fork" in sys.argv:
    from multiprocessing import freeze_support

    freeze_support()  # this process is a worker; it does its work and ends here

from ckptviewer.__main__ import main

sys.exit(main())
