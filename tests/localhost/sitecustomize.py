"""Resolves *.localhost as browsers and curl do (RFC 6761); Python asks the system, which may not."""

import socket

_getaddrinfo = socket.getaddrinfo


def _resolve(host, *args, **kwargs):
    name = host.decode() if isinstance(host, bytes) else host
    is_local = isinstance(name, str) and name.endswith(".localhost")
    return _getaddrinfo("127.0.0.1" if is_local else host, *args, **kwargs)


socket.getaddrinfo = _resolve
