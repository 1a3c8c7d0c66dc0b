"""Every write, one transaction each, many rows at once.

Nothing above this layer opens a transaction, locks a row or writes SQL.
"""
