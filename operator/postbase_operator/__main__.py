"""`python -m postbase_operator`, the same as the `postbase-operator` command."""

import sys

from postbase_operator.cli import main

sys.exit(main())
