"""What a service is written with: kinds, handlers, listeners, resources, and what their annotations say."""
