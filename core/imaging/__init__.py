"""Image files: headers, decoding to canonical pixels, colour profiles and previews.

Imported by every package of core that needs pixels; imports only the top level of core.
"""
