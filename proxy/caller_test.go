package proxy_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// proves T8
func TestTheKeyOfACallerIsThatOfNoOther(t *testing.T) {
	t.Parallel()
	claims := document.MustParse
	seen := map[string]string{}
	for name, c := range map[string]*proxy.Caller{
		"nobody":                          nil,
		"a caller":                        {Scheme: "jwt", Issuer: "i", ID: "ada"},
		"of another scheme":               {Scheme: "basic", Issuer: "i", ID: "ada"},
		"of another issuer":               {Scheme: "jwt", Issuer: "ia", ID: "da"},
		"another one":                     {Scheme: "jwt", Issuer: "i", ID: "bob"},
		"a token without a subject":       {Scheme: "jwt", Issuer: "i", Claims: claims(`{"client_id":"a"}`)},
		"another token without a subject": {Scheme: "jwt", Issuer: "i", Claims: claims(`{"client_id":"b"}`)},
		"one whose ID is its claims":      {Scheme: "jwt", Issuer: "i", ID: `{"client_id":"a"}`},
		"one with a NUL before them":      {Scheme: "jwt", Issuer: "i", ID: "\x00{\"client_id\":\"a\"}"},
		"an empty one":                    {},
	} {
		key := c.Key()
		assert.Empty(t, seen[key], name)
		seen[key] = name
	}
	a := &proxy.Caller{Scheme: "jwt", ID: "ada", Claims: claims(`{"jti":1}`)}
	assert.Equal(t, a.Key(), (&proxy.Caller{Scheme: "jwt", ID: "ada", Claims: claims(`{"jti":2}`)}).Key(), "another token of the same caller")
}
