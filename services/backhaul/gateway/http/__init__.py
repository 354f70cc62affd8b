"""HTTP as the gateway speaks it: requests read, answers and problems written."""
