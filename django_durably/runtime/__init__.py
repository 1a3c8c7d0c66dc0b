"""Executing runs: a worker claims them, bodies run in threads or on an event loop, and one
journal per process stores what they did."""
