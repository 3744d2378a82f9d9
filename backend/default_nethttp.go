//go:build nethttp

package backend

// With the build tag nethttp the default is net/http's transport, so that the tests of all packages
// can run on both.
func newDefault() Transport { return NewTransport() }
