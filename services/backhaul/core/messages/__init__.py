"""What stands on the broker and travels over it: names, rights, messages, and who publishes them."""
