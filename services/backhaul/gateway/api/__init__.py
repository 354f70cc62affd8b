"""The calls: one module for each thing that can be asked for, and the table that routes them."""
