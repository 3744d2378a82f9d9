//go:build unix && !aix && !solaris && !nethttp

package backend

import "github.com/sluice-go/sluice/backend/h1"

func newDefault() Transport { return &h1.Transport{Fallback: NewTransport()} }
