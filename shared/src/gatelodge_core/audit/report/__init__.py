"""`gatelodge audit report`: the journal as one page that needs no network, no server and no second file.

rows       a call as the page shows it, and the latest of them in bounded memory
flows      what a caller had read before a call that changes or sends something
columns    rows as compact columns that a browser unpacks
summary    the same in numbers, for a browser without scripts
tables     these numbers as HTML
page       template, style, scripts and data put together
writing    verify, read, write the file
files      the template, the style and the scripts
"""
