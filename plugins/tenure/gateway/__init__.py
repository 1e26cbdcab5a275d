"""The scoring process: answers by the traffic plan, and logs every decision before it answers.

The event loop parses, routes and answers. Threads beside it: one scorer a loaded version, one
writer a log, one shipper a log, and one follower, the only one that talks to the lifecycle database
about plans. Nothing in the path of a request waits for the database.
"""
