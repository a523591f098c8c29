"""``python -m iscan_dash`` is the same as ``iscan-dash``."""

from iscan_dash.cli import main

main()
