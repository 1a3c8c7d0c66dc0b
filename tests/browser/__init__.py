"""The pages of the example, driven by a real browser against real processes."""
