"""The JSON API over HTTP, and where the streams are mounted."""
