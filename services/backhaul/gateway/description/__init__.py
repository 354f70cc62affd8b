"""The API as it describes itself: OpenAPI, and the page at `/docs`."""
