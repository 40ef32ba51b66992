"""The registration team's pages: signing in, files taken in, lists checked, jobs.

Rendered here, usable without a script. Each calls what the JSON routes call, as the person whose
key was pasted.
"""
