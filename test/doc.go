// Package test looks at a whole gateway from outside: a client of net/http, the server of package adapter, a router,
// endpoints, proxies, backends over a transport of net/http, and upstreams that write what a script says. All connections
// are pipes in memory, so that a test can run in a bubble where time is exact, or sockets on loopback.
//
// It also looks at the repository: imports point one way, and every statement of docs/hardening.md has its test.
package test
