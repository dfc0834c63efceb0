"""Images fetched over HTTP: politely (limits of hosts, robots.txt, opt-outs), safely (addresses, sizes), once.

`fetch_many` in `client` is what callers want: URLs in, one `Answer` for each out.
"""
