"""`python -m backhaul`, where the script `backhaul` is not on the path."""

from backhaul.cli.main import main

main()
