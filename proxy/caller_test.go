package proxy_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// proves T8
func TestNoTwoCallersHaveTheSameKey(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, caller := range map[string]*proxy.Caller{
		"nobody":      nil,
		"no name":     {},
		"a name":      {ID: "ab"},
		"an issuer":   {Issuer: "a", ID: "b"},
		"all of it":   {Issuer: "ab"},
		"a scheme":    {Scheme: "a", ID: "b"},
		"text of two": {ID: "1:a1:b"},
		"lengths":     {ID: "0:0:"},
	} {
		key := caller.Key()
		assert.NotContains(t, seen, key, name)
		seen[key] = name
		assert.Equal(t, "x"+key, string(caller.AppendKey([]byte("x"))), name)
	}
	with, without := proxy.Caller{Scheme: "jwt", ID: "ann", Scopes: []string{"a"}}, proxy.Caller{Scheme: "jwt", ID: "ann"}
	assert.Equal(t, with.Key(), without.Key(), "what a credential may be used for is not who the caller is")
}

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
		"one whose ID looks like that":    {Scheme: "jwt", Issuer: "i", ID: (&proxy.Caller{Claims: claims(`{"client_id":"a"}`)}).Key()[4:]},
		"an empty one":                    {},
	} {
		key := c.Key()
		assert.Empty(t, seen[key], name)
		seen[key] = name
	}
	a := &proxy.Caller{Scheme: "jwt", ID: "ada", Claims: claims(`{"jti":1}`)}
	assert.Equal(t, a.Key(), (&proxy.Caller{Scheme: "jwt", ID: "ada", Claims: claims(`{"jti":2}`)}).Key(), "another token of the same caller")
}
