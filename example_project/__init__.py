"""A small site that imports the airports of the world: the example of django-durably."""
