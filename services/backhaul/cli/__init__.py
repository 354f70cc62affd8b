"""The command line: `backhaul`."""
