"""A double of Railway for tests: its real schema, its surprises, and what it would run, really run.

Written from notes on Railway's API alone; `§` and a number in a comment is their section, [U] what
they call unverified. See README.md.
"""
