//go:build !nethttp

package backend

func newDefault() Transport { return NewTransport() }
