"""The porter: answers a host's first messages in tens of milliseconds, while the SDK loads in the process beside it.

    given      what the settings say, as far as it shapes the answers; standard library only
    surface    the generated file of what a server offers, and the answers made from it
    plain      which requests are so ordinary that the SDK's answer is certain
    eras       which protocol era a connection speaks, decided in this one place for porter and transport alike
    desk       messages in, answers out, and what is left for the SDK
    standing   the process the porter is, and the hand-over at its end

It is a forked process, not a thread: the serving process has one thread from its first line to the closing of the
sandbox, and an import that holds the interpreter for 50 ms holds up no answer. `taking` makes the file that `surface` reads.
"""
