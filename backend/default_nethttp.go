//go:build !unix || aix || solaris || nethttp

package backend

// newDefault returns net/http's transport where package h1 cannot use a connection again. With the
// build tag nethttp it does so everywhere, so that all tests can run on both.
func newDefault() Transport { return NewTransport() }
