"""`python -m backhaul.cli.demo [FILE]`: a real document through the whole platform, with nothing to install."""
