"""API keys: a Django app. ``APIKeyAuth`` of quintette.auth is what reads them."""
