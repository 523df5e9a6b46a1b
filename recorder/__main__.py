"""`python -m recorder`: the recorder process."""

import sys

from recorder.process import main

sys.exit(main())
