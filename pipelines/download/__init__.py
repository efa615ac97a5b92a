"""Where `make data` fetches battles from."""
