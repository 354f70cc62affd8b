"""JSON Schemas: what fits them, and what they promise to those who stored theirs."""
