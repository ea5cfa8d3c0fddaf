"""Who may do what in Kafka: a table, and the job that makes a broker's users and rights like it.

Nobody is let in without a name and a password, nobody but the admin may do what the table does
not say, and nobody but the admin makes topics.
"""
