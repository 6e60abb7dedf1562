// Resolves *.localhost as browsers and curl do (RFC 6761); Node.js asks the system, which may not.
import dns from 'node:dns';

const { lookup } = dns;
dns.lookup = (host, ...rest) => lookup(host.endsWith('.localhost') ? '127.0.0.1' : host, ...rest);
