"""The language and the glue that at least two services need; nothing else is admitted.

`contracts` says what the services tell each other, the other modules how facts are decided,
stored, carried and read. No module here knows a service or a town.
"""
