package proxy_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/proxy"
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
