// Package test tests a whole gateway from outside: a client of net/http, the server of package
// adapter, a router, endpoints, proxies, backends over a transport of net/http, and upstreams that
// follow a script. Connections are pipes in memory, so that a test can run in a bubble where time
// is exact, or sockets on loopback.
//
// It also tests the repository: imports point one way, and every statement of docs/hardening.md has
// a test.
package test
