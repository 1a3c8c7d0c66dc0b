"""What a job is: a named function with schemas. Importing this loads no models, no pydantic."""
