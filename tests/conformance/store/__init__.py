"""What every store promises (`backhaul.core.ports.store`), held against each of ours: one suite, three ways to run."""
