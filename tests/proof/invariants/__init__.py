"""Each invariant as a function from a case to the violations found in it, linear in the number of observations."""
