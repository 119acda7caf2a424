"""The shapes of bodies and results, for the OpenAPI page.

Requests are not read through these: a vector of 1,536 numbers must not become 1,536 checked objects. Each
body has its own parser, and tests hold the two together.
"""
