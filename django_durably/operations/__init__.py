"""The verbs: trigger, cancel, retrigger, delete, wait, purge."""
