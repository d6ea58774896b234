"""The load: wrk for what a server can do at most, our own generator for what it does at a rate."""
