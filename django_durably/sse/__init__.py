"""Event streams: one relay per web process reads the log once for all who listen.

``relay`` tails the log in a thread and hands each event to the channels that want it;
``subscriptions`` is one listener's way through the log; ``streams`` makes Server-Sent Events of it
and ``views`` guards them.
"""
