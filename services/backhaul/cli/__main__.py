"""`python -m backhaul.cli`: the older name of `python -m backhaul`."""

from backhaul.cli.main import main

main()
